"""Whatever is typed where money is meant: a sentence about it or an amount that can be, and no error of ours."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Membership, Organization, User
from billing.models import LedgerTransaction, Markup
from billing.payments.models import BillingProfile, PromoCode, Refund, TopUp
from tests.payments.conftest import accounts
from tests.stripe_server import Stripe

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("book_agrees")]

Posts = dict[str, Callable[[str], Any]]
NEVER = ["-1", "NaN", "1e5000", "9" * 400, "10\x00", "١٢", ""]
# Python reads it as a number.
READ = "١٢"
BILLION_AND_ONE = "1000000001"


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator@example.com"))
    return client


@pytest.fixture
def posts(operator: Client, browser: Client, paid: TopUp, organization: Organization) -> Posts:
    """By form: what posts it with that amount, everything else as it should be."""
    key, _ = keys.issue(organization, name="k", created_by=organization.memberships.get().user)
    member = organization.memberships.get()
    token = {"reason": "x", "token": str(uuid4())}
    BillingProfile.objects.update_or_create(pk=organization.pk, defaults={"payment_method": "pm_1"})
    code = {"code": "WELCOME", "max_uses": "1"}
    new_key = {"name": "n", "limit_reset": "daily"}
    admin_key = {"name": "k", "limit_reset": ""}
    tables = {
        f"memberships-{name}": str(value)
        for name, value in {"TOTAL_FORMS": 1, "INITIAL_FORMS": 1, "0-id": member.pk, "0-user": member.user_id}.items()
    } | {"memberships-0-organization": str(organization.pk), "memberships-0-role": "owner"}
    tables |= {"api_keys-TOTAL_FORMS": "0", "api_keys-INITIAL_FORMS": "0"}
    named = {"name": "Acme", "budget_reset": ""}
    place = f"/admin/accounts/organization/{organization.pk}"
    return {
        "buy": lambda typed: browser.post("/credits/buy", {"amount": typed}),
        "threshold": lambda typed: browser.post("/credits/automatic", {"threshold": typed, "amount": "10"}),
        "automatic": lambda typed: browser.post("/credits/automatic", {"threshold": "1", "amount": typed}),
        "alert": lambda typed: browser.post("/credits/alert", {"low_balance": typed}),
        "new key": lambda typed: browser.post("/keys/new", {**new_key, "limit": typed}),
        "key": lambda typed: browser.post(f"/keys/{key.hash}", {**new_key, "limit": typed}),
        "budget": lambda typed: browser.post("/settings/budgets/set", {"limit": typed, "reset": "daily"}),
        "member's budget": lambda typed: browser.post("/settings/budgets/set", {"member": member.pk, "limit": typed}),
        "credit": lambda typed: operator.post(f"{place}/credit/", {**token, "amount": typed, "confirmed": "Post"}),
        "refund": lambda typed: operator.post(f"/admin/billing/topup/{paid.pk}/refund/", {**token, "amount": typed}),
        "code": lambda typed: operator.post("/admin/billing/promocode/add/", {**code, "amount_nano": typed}),
        "admin's key": lambda typed: operator.post(
            f"/admin/accounts/apikey/{key.pk}/change/", {**admin_key, "limit_nano": typed}
        ),
        "admin's budget": lambda typed: operator.post(f"{place}/change/", {**tables, **named, "budget_nano": typed}),
        "admin's member": lambda typed: operator.post(
            f"{place}/change/", {**tables, **named, "memberships-0-budget_nano": typed}
        ),
        "markup": lambda typed: operator.post(
            "/admin/billing/markup/add/", {"organization": "", "model": "", "percent": typed}
        ),
    }


# Below zero an operator takes credit back, or gives a discount.
SIGNED = {"credit", "markup"}


def state() -> list[Any]:
    """All that a form about money could have changed."""
    return [
        LedgerTransaction.objects.count(),
        TopUp.objects.count(),
        Refund.objects.count(),
        PromoCode.objects.count(),
        Markup.objects.count(),
        *ApiKey.objects.values_list("limit_nano", flat=True),
        *Organization.objects.order_by("pk").values_list("budget_nano", flat=True),
        *Membership.objects.order_by("pk").values_list("budget_nano", flat=True),
        *BillingProfile.objects.values_list("threshold_cents", "amount_cents", "low_balance_cents"),
    ]


def test_nothing_that_is_no_amount_is_taken(stripe: Stripe, posts: Posts) -> None:
    wrong = []
    for name, post in posts.items():
        for typed in [*NEVER, BILLION_AND_ONE, "0.0000000001"]:
            if (typed[:1] == "-" and name in SIGNED) or (typed == "" and name not in ("buy", "credit", "refund")):
                continue
            # Tries an hour are bounded.
            cache.clear()
            before = state()
            try:
                status = post(typed).status_code
            except Exception as error:
                status = repr(error)[:100]
            if status not in (200, 302) or (state() != before and typed != READ):
                wrong.append((name, typed[:20], status))
    assert wrong == []


def test_the_largest_amounts_are_kept_exactly(posts: Posts, organization: Organization) -> None:
    for name in ("budget", "key", "admin's budget", "member's budget"):
        response = posts[name]("999999999.999999999")
        assert response.status_code == 302, (name, response.context.get("errors"))
    organization.refresh_from_db()
    member, key = organization.memberships.get(), organization.api_keys.get()
    assert {organization.budget_nano, member.budget_nano, key.limit_nano} == {10**18 - 1}


@pytest.mark.parametrize("days", ["36501", "999999999", "2147483647", "2147483648", "1" * 50, "-1", "0", "1.5", "x"])
def test_days_of_a_code_that_no_calendar_has(operator: Client, days: str) -> None:
    given = {"code": "WELCOME", "amount_nano": "5", "max_uses": "1", "credit_days": days}
    response = operator.post("/admin/billing/promocode/add/", given)
    assert response.status_code == 200
    assert response.context["adminform"].form.errors["credit_days"]


def test_a_code_of_the_longest_time(operator: Client, browser: Client, organization: Organization) -> None:
    given = {"code": "WELCOME", "amount_nano": "5", "max_uses": "1", "credit_days": "36500"}
    assert operator.post("/admin/billing/promocode/add/", given).status_code == 302
    assert "credit added" in browser.post("/credits/redeem", {"code": "welcome"}, follow=True).content.decode()
    assert accounts(organization) == {"promotional": 500, "grants": -500}
    expires_at = organization.promotions.get().expires_at
    assert expires_at
    assert expires_at > timezone.now() + timedelta(days=36_499)


@pytest.mark.parametrize("typed", ["1.005", "0.01", "10.00", "1e1", "0010", " 7 "])
def test_what_is_an_amount_is_read_to_the_cent(stripe: Stripe, operator: Client, paid: TopUp, typed: str) -> None:
    given = {"amount": typed, "reason": "x", "token": str(uuid4())}
    operator.post(f"/admin/billing/topup/{paid.pk}/refund/", given)
    cents = Decimal(typed.strip()) * 100
    expected = [int(cents)] if cents == int(cents) and cents <= 1000 else []
    assert list(Refund.objects.values_list("credit_cents", flat=True)) == expected


def test_one_token_for_two_payments_refunds_one(
    stripe: Stripe, operator: Client, paid: TopUp, buy: Any, browser: Client
) -> None:
    other = buy(browser)
    stripe.pay(other.stripe_session)
    browser.get(f"/credits/top-ups/{other.pk}")
    given = {"amount": "1", "reason": "x", "token": str(uuid4())}
    for top_up in (paid, other):
        assert operator.post(f"/admin/billing/topup/{top_up.pk}/refund/", given).status_code in (200, 302)
    assert [refund.top_up_id for refund in Refund.objects.all()] == [paid.pk]
