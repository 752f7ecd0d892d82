"""Buying credit on Stripe's page: the row first, the amount that was asked for, credited once."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Membership, Organization, User
from billing.payments import amounts
from billing.payments.models import BillingProfile, TopUp
from billing.payments.open import look_after
from tests.payments.conftest import accounts, browser_of, credit_cents, send
from tests.stripe_server import Stripe

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]
Buy = Callable[..., TopUp]


def test_a_payment_becomes_credit(stripe: Stripe, browser: Client, buy: Buy, organization: Organization) -> None:
    top_up = buy(browser)
    session = stripe.rows["checkout/sessions"][top_up.stripe_session or ""]
    assert (session["amount_total"], session["mode"], session["client_reference_id"]) == (
        1000,
        "payment",
        str(top_up.pk),
    )
    assert session["success_url"].endswith(f"/credits/top-ups/{top_up.pk}")
    assert credit_cents(organization) == 0
    stripe.pay(session["id"])
    response = browser.get(f"/credits/top-ups/{top_up.pk}", follow=True)
    assert "$10.00 of credit added" in response.content.decode()
    assert credit_cents(organization) == 1000
    assert accounts(organization) == {"wallet": 1000, "payment_clearing": -1000}
    assert AuditEvent.objects.get(target_id=str(top_up.pk)).verb == "create"


def test_coming_back_again_credits_nothing_more(stripe: Stripe, browser: Client, paid: TopUp) -> None:
    for _ in range(3):
        browser.get(f"/credits/top-ups/{paid.pk}")
    assert credit_cents(paid.organization) == 1000


def test_coming_back_unpaid_credits_nothing(
    stripe: Stripe, browser: Client, buy: Buy, organization: Organization
) -> None:
    top_up = buy(browser)
    response = browser.get(f"/credits/top-ups/{top_up.pk}", follow=True)
    assert "not confirmed yet" in response.content.decode()
    assert credit_cents(organization) == 0


def test_the_fee_is_beside_the_credit(
    stripe: Stripe, browser: Client, buy: Buy, organization: Organization, settings: Any
) -> None:
    settings.TOPUP_FEE_PERCENT, settings.TOPUP_FEE_MIN_CENTS = Decimal("5.5"), 80
    top_up = buy(browser, "10")
    assert top_up.fee_cents == 80
    top_up = buy(browser, "100")
    assert stripe.rows["checkout/sessions"][top_up.stripe_session or ""]["amount_total"] == 10550
    stripe.pay(top_up.stripe_session or "")
    browser.get(f"/credits/top-ups/{top_up.pk}")
    assert accounts(organization) == {"wallet": 10000, "fees": 550, "payment_clearing": -10550}


@pytest.mark.parametrize(
    ("credit", "percent", "fixed", "least", "fee"),
    [
        (1000, "0", 0, 0, 0),
        (1000, "2.9", 30, 0, 59),
        (1050, "2.9", 30, 0, 60),
        (50, "1", 0, 0, 1),
        (1000, "5.5", 0, 80, 80),
    ],
)
def test_fees(credit: int, percent: str, fixed: int, least: int, fee: int, settings: Any) -> None:
    settings.TOPUP_FEE_PERCENT = Decimal(percent)
    settings.TOPUP_FEE_FIXED_CENTS, settings.TOPUP_FEE_MIN_CENTS = fixed, least
    assert amounts.fee(credit) == fee


@pytest.mark.parametrize("amount", ["4.99", "10000.01", "0", "-5", "5.001", "1e3000", "NaN", "Infinity", "", "ten"])
def test_amounts_that_are_not_sold(stripe: Stripe, browser: Client, amount: str) -> None:
    response = browser.post("/credits/buy", {"amount": amount})
    assert response.status_code == 200
    assert response.context["buy"].errors["amount"]
    assert not TopUp.objects.exists()
    assert stripe.asked == []


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("billing", 200), ("developer", 403), ("viewer", 403)])
def test_who_may_buy(stripe: Stripe, bob: User, organization: Organization, role: str, status: int) -> None:
    Membership.objects.filter(user=bob, organization=organization).update(role=role)
    assert browser_of(bob, organization).post("/credits/buy", {"amount": "10"}).status_code == status
    assert TopUp.objects.count() == (status == 200)


def test_another_tenant_sees_and_settles_nothing(stripe: Stripe, browser: Client, buy: Buy, charlie: User) -> None:
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session or "")
    other = browser_of(charlie)
    assert other.get(f"/credits/top-ups/{top_up.pk}").status_code == 404
    assert other.get(f"/credits/top-ups/{top_up.pk}/receipt.pdf").status_code == 404
    top_up.refresh_from_db()
    assert top_up.status == "pending"


def test_stripe_away_says_so_and_takes_nothing(stripe: Stripe, browser: Client, organization: Organization) -> None:
    stripe.fail("/v1/checkout/sessions", 500, 500, 500)
    response = browser.post("/credits/buy", {"amount": "10"}, follow=True)
    assert "does not answer" in response.content.decode()
    assert TopUp.objects.get().status == "failed"
    assert credit_cents(organization) == 0


def test_one_customer_for_an_organization(stripe: Stripe, browser: Client, buy: Buy) -> None:
    first, second = buy(browser), buy(browser)
    sessions = stripe.rows["checkout/sessions"]
    assert len({sessions[row.stripe_session or ""]["customer"] for row in (first, second)}) == 1
    assert stripe.count("/v1/customers") == 1


def test_a_card_is_kept_only_when_asked(stripe: Stripe, browser: Client, buy: Buy, organization: Organization) -> None:
    for fields, method in (({}, ""), ({"saves_card": "on"}, "pm_card")):
        top_up = buy(browser, **fields)
        stripe.pay(top_up.stripe_session or "")
        browser.get(f"/credits/top-ups/{top_up.pk}")
        assert BillingProfile.objects.get(organization=organization).payment_method == method


def test_lost_webhooks_and_closed_browsers(
    stripe: Stripe, browser: Client, buy: Buy, organization: Organization
) -> None:
    """The task asks Stripe about what has been open for a while."""
    paid, expired, fresh = buy(browser), buy(browser), buy(browser)
    for top_up in (paid, fresh):
        stripe.pay(top_up.stripe_session or "")
    stripe.rows["checkout/sessions"][expired.stripe_session or ""]["status"] = "expired"
    TopUp.objects.exclude(pk=fresh.pk).update(created_at=timezone.now() - timedelta(hours=1))
    look_after()
    look_after()
    found = dict(TopUp.objects.values_list("pk", "status"))
    assert found == {paid.pk: "paid", expired.pk: "expired", fresh.pk: "pending"}
    assert credit_cents(organization) == 1000


def test_without_stripe_the_page_says_how_credit_is_had(browser: Client) -> None:
    shown = browser.get("/credits").content.decode()
    assert "grants it" in shown
    assert "Go to payment" not in shown
    for path in ("/credits/buy", "/credits/card"):
        assert "not sold here" in browser.post(path, {"amount": "10"}, follow=True).content.decode()
    assert not TopUp.objects.exists()
    assert Client().post("/webhooks/stripe", b"{}", content_type="application/json").status_code == 404


def test_webhooks_know_it_too(stripe: Stripe, browser: Client, buy: Buy, organization: Organization) -> None:
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session or "")
    session = stripe.rows["checkout/sessions"][top_up.stripe_session or ""]
    assert send(stripe.event("checkout.session.completed", session)).status_code == 200
    assert credit_cents(organization) == 1000
