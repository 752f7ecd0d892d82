"""Dashboard, activity, a generation, credits: exact amounts, and no other organization's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts import keys
from accounts.ids import uuid7
from accounts.models import Membership, Organization, User
from billing import ledger, spending, usage
from billing.generations import public_id
from billing.models import Generation, LedgerEntry, Wallet

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

ATTEMPTS = [
    {"provider_name": "Primary", "model_permaslug": "acme/one", "status": 503, "latency": 7, "error": "overloaded"},
    {"provider_name": "Secondary", "model_permaslug": "acme/one", "status": 200, "latency": 41, "error": None},
]


@pytest.fixture
def alice() -> User:
    user = User.objects.create_user("alice@example.com")
    ledger.grant(user.personal_organization, amount=5_000_000_003, reason="for tests")
    return user


@pytest.fixture
def browser(alice: User, client: Client) -> Client:
    client.force_login(alice)
    return client


def generate(organization: Organization, charge: int, *, ago: timedelta = timedelta(0), **fields: Any) -> Generation:
    """A generation as the till leaves it, its charge on the wallet and not yet in the ledger."""
    at = datetime.now(UTC) - ago
    row = Generation.objects.create(
        id=uuid7(), organization_id=organization.pk, outcome="ok", model="acme/one", requested_model="acme/one",
        charge=charge, created_at=at, closed_at=at, attempts=ATTEMPTS, **fields,
    )  # fmt: skip
    wallet = Wallet.objects.for_organization(organization)
    wallet.spent += charge
    wallet.unposted_charge += charge
    wallet.save()
    return row


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("path", ["/dashboard", "/activity", "/logs", "/credits"])
def test_pages_open_for_members_and_for_reading_only(browser: Client, path: str) -> None:
    assert browser.get(path).status_code == 200
    assert browser.post(path).status_code == 405
    assert Client().get(path)["Location"] == f"/login?next={path}"


def test_balance_is_exact(browser: Client, alice: User) -> None:
    generate(alice.personal_organization, 1_000_000_002)
    shown = text(browser, "/dashboard")
    assert "$4.000000001" in shown
    assert shown.count("$1.000000002") >= 3  # in all, last 30 days, and the request


def test_spend_is_the_same_before_and_after_a_roll_up(alice: User) -> None:
    organization = alice.personal_organization
    for days, charge in ((0, 3), (1, 5), (1, 7), (29, 11), (31, 13)):
        generate(organization, charge, ago=timedelta(days=days))
    before = spending.by_day(organization.pk, days=30)
    usage.roll_up()
    assert spending.by_day(organization.pk, days=30) == before
    assert [day.charge for day in before if day.charge] == [11, 12, 3]
    assert len(before) == 30


def test_ledger_and_wallet_say_the_same(browser: Client, alice: User) -> None:
    generate(alice.personal_organization, 1_000_000_002)
    shown = text(browser, "/credits")
    assert "-$1.000000002" in shown
    assert "within seconds" in shown
    with connection.cursor() as cursor:
        cursor.execute("SELECT till_post()")
    shown = text(browser, "/credits")
    assert "-$1.000000002" in shown
    assert "within seconds" not in shown
    assert "$5.000000003" in shown
    entries = LedgerEntry.objects.filter(account=LedgerEntry.Account.WALLET).values_list("amount", flat=True)
    wallet = Wallet.objects.get()
    assert sum(entries) == wallet.credit - wallet.spent


def test_a_generation_shows_its_attempts(browser: Client, alice: User) -> None:
    organization = alice.personal_organization
    key, _ = keys.issue(organization, name="laptop", created_by=alice)
    row = generate(organization, 21, api_key_id=key.pk, provider_name="Secondary", prompt_tokens=1234)
    shown = text(browser, f"/logs/{public_id(row.id)}")
    for word in ("$0.000000021", "1,234", "Primary", "overloaded", "41 ms", "laptop"):
        assert word in shown


@pytest.mark.parametrize(
    "path",
    [
        "/logs/nonsense",
        f"/logs/gen-{'9' * 5000}-{'a' * 15}",
        "/logs?before=nonsense",
        "/credits?before=x",
        "/keys/%00",
    ],
)
def test_wrong_ids_are_404(browser: Client, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_outsiders_see_nothing_of_it(alice: User, client: Client) -> None:
    row = generate(alice.personal_organization, 21)
    client.force_login(User.objects.create_user("charlie@example.com"))
    assert client.get(f"/logs/{public_id(row.id)}").status_code == 404
    assert "acme/one" not in text(client, "/logs") + text(client, "/activity") + text(client, "/dashboard")
    assert "for tests" not in text(client, "/credits")


def test_members_see_it_and_may_switch(alice: User, client: Client) -> None:
    bob = User.objects.create_user("bob@example.com")
    Membership.objects.create(organization=alice.personal_organization, user=bob, role=Membership.Role.VIEWER)
    client.force_login(bob)
    assert bob.personal_organization.name == "bob@example.com"
    assert "$0.00" in text(client, "/dashboard")
    assert "Switch" in text(client, "/dashboard")
    client.post("/organization", {"organization": str(alice.personal_organization.pk)})
    assert "$5.000000003" in text(client, "/dashboard")


def test_activity_and_credits_go_on_to_older_ones(browser: Client, alice: User) -> None:
    organization = alice.personal_organization
    for _ in range(51):
        generate(organization, 1)
        ledger.grant(organization, amount=1, reason="more")
    for path in ("/logs", "/credits"):
        first = browser.get(path)
        older = browser.get(path, {"before": first.context["more"]})
        assert older.context["more"] is None
        assert len(first.context["entries" if path == "/credits" else "recent"]) == 50


def test_many_requests_take_as_many_queries(browser: Client, alice: User, django_assert_max_num_queries: Any) -> None:
    for _ in range(10):
        generate(alice.personal_organization, 1)
    with django_assert_max_num_queries(9):
        browser.get("/dashboard")
