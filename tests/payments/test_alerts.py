"""Mail about low credit and used limits: to those it concerns, once."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, Membership, Organization, User
from billing import alerts, budgets, ledger
from billing.models import Budget, Wallet
from billing.payments.models import NANO_PER_CENT, BillingProfile, BudgetNotice

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]
DOLLAR = 100 * NANO_PER_CENT


@pytest.fixture(autouse=True)
def sent(django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the task, and what waits for its commit. Returns who got mail and what about."""

    def run() -> list[tuple[str, str]]:
        mail.outbox.clear()
        with django_capture_on_commit_callbacks(execute=True):
            alerts.run()
        return sorted((message.to[0], str(message.subject)) for message in mail.outbox)

    return run


def test_low_balance_is_told_once_until_there_is_more(
    sent: Any, browser: Client, organization: Organization, bob: User
) -> None:
    ledger.grant(organization, amount=10 * DOLLAR, reason="x")
    assert browser.post("/credits/alert", {"low_balance": "5"}).status_code == 302
    assert sent() == []
    Wallet.objects.update(spent=5 * DOLLAR)
    assert sent() == []
    Wallet.objects.update(spent=5 * DOLLAR + 1)
    assert sent() == [("alice@example.com", "Credit is running low")]
    assert "4.999999999 USD of credit left" in mail.outbox[0].body
    assert sent() == []
    Wallet.objects.update(spent=0)
    assert sent() == []
    Wallet.objects.update(spent=6 * DOLLAR)
    assert len(sent()) == 1


def test_whom_it_concerns(sent: Any, organization: Organization, bob: User) -> None:
    BillingProfile.objects.create(organization=organization, low_balance_cents=100)
    Membership.objects.filter(user=bob).update(role=Membership.Role.BILLING)
    gone = User.objects.create_user("gone@example.com", is_active=False)
    Membership.objects.create(organization=organization, user=gone, role=Membership.Role.ADMIN)
    assert [recipient for recipient, _ in sent()] == ["alice@example.com", "bob@example.com"]


def test_no_threshold_no_mail(sent: Any, browser: Client, organization: Organization) -> None:
    browser.post("/credits/alert", {"low_balance": "5"})
    browser.post("/credits/alert", {"low_balance": ""})
    assert sent() == []
    assert browser.post("/credits/alert", {"low_balance": "-1"}).context["alert"].errors


@pytest.fixture
def key(organization: Organization, bob: User) -> ApiKey:
    made, _ = keys.issue(organization, name="laptop", created_by=bob, limit_nano=10 * DOLLAR, limit_reset="monthly")
    return made


def subjects(sent: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(recipient, subject.partition(":")[0]) for recipient, subject in sent]


def use(row: ApiKey | Membership | Organization, amount: int) -> None:
    today = datetime.now(UTC).date()
    periods: dict[str, Any] = {
        "day": today,
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
    }
    used = dict.fromkeys(("used", "used_day", "used_week", "used_month"), amount)
    budget = row.pk if isinstance(row, ApiKey) else row.budget_id
    Budget.objects.update_or_create(id=budget, defaults={**periods, **used})


def test_a_limit_is_told_at_80_and_at_100_percent(sent: Any, key: ApiKey) -> None:
    use(key, 8 * DOLLAR - 1)
    assert sent() == []
    use(key, 8 * DOLLAR)
    both = ("alice@example.com", "bob@example.com")
    assert subjects(sent()) == [(recipient, "80 % of a limit is used") for recipient in both]
    use(key, 9 * DOLLAR)
    assert sent() == []
    use(key, 10 * DOLLAR)
    assert subjects(sent()) == [(recipient, "A limit is used up") for recipient in both]
    assert sent() == []


@pytest.mark.parametrize("name", ["a\r\nBcc: x@example.com", "a\rb", "ключ"])
def test_a_name_adds_no_headers(sent: Any, key: ApiKey, name: str) -> None:
    ApiKey.objects.update(name=name)
    use(key, 8 * DOLLAR)
    assert [recipient for recipient, _ in sent()] == ["alice@example.com", "bob@example.com"]
    assert "\r" not in mail.outbox[0].subject
    assert "Bcc" not in mail.outbox[0].message()


def test_at_once_beyond_100_it_is_one_mail(sent: Any, key: ApiKey) -> None:
    use(key, 12 * DOLLAR)
    assert {subject for _, subject in subjects(sent())} == {"A limit is used up"}


def test_again_in_the_next_window_and_for_another_limit(sent: Any, key: ApiKey) -> None:
    use(key, 8 * DOLLAR)
    assert len(sent()) == 2
    BudgetNotice.objects.update(window_began=date(2026, 1, 1))
    assert len(sent()) == 2
    ApiKey.objects.update(limit_nano=9 * DOLLAR)
    assert len(sent()) == 2


@pytest.mark.parametrize("change", [{"is_disabled": True}, {"limit_nano": None}, {"limit_nano": 0}], ids=str)
def test_keys_without_a_limit_or_life(sent: Any, key: ApiKey, change: dict[str, Any]) -> None:
    use(key, 20 * DOLLAR)
    ApiKey.objects.update(**change)
    assert sent() == []


def test_who_made_it_and_left_is_not_told(sent: Any, key: ApiKey, bob: User) -> None:
    use(key, 8 * DOLLAR)
    Membership.objects.filter(user=bob, organization__is_personal=True).exclude(role="owner").delete()
    assert [recipient for recipient, _ in sent()] == ["alice@example.com"]


@pytest.mark.parametrize(
    ("reset", "began"),
    [
        ("daily", date(2026, 11, 25)),
        ("weekly", date(2026, 11, 23)),
        ("monthly", date(2026, 11, 1)),
        ("", budgets.ALL_TIME),
    ],
)
def test_windows(reset: str, began: date) -> None:
    assert budgets.began(reset, date(2026, 11, 25)) == began


def test_budgets_of_members_and_of_the_organization(sent: Any, organization: Organization, bob: User) -> None:
    budgets.set_budget(organization, 100 * DOLLAR, "")
    member = Membership.objects.get(user=bob, organization=organization)
    budgets.set_budget(member, 10 * DOLLAR, "weekly")
    use(member, 8 * DOLLAR)
    use(organization, 79 * DOLLAR)
    told = "80 % of a limit is used: the budget of bob@example.com"
    assert sent() == [("alice@example.com", told), ("bob@example.com", told)]
    use(organization, 100 * DOLLAR)
    assert sent() == [("alice@example.com", "A limit is used up: the organization's budget")]
    Budget.objects.filter(pk=member.budget_id).update(week=date(2020, 1, 6), used_week=99 * DOLLAR)
    assert sent() == []
