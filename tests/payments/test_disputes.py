"""Disputes: credit goes at once, comes back when won, and is gone when lost; in any order, any number of times."""

from typing import Any

import pytest
from django.test import Client

from billing.models import Wallet
from billing.payments.models import NANO_PER_CENT, Dispute, TopUp
from tests.payments.conftest import accounts, credit_cents, first_at_the_lock, send
from tests.payments.test_refunds import spend
from tests.stripe_server import Stripe

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("book_agrees")]
KINDS = ("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed")


@pytest.fixture
def disputed(stripe: Stripe, paid: TopUp) -> dict[str, Any]:
    return stripe.dispute(stripe.rows["payment_intents"][paid.stripe_intent or ""])


def tell(stripe: Stripe, dispute: dict[str, Any]) -> None:
    """All kinds of events about it, each twice; what counts is what Stripe says when it is asked."""
    for kind in KINDS * 2:
        assert send(stripe.event(kind, {**dispute, "status": "won"})).status_code == 200


def test_credit_goes_at_once_even_below_what_is_spent(stripe: Stripe, paid: TopUp, disputed: dict[str, Any]) -> None:
    spend(paid, 700)
    tell(stripe, disputed)
    assert credit_cents(paid.organization) == 0
    assert Wallet.objects.get().spendable == -700 * NANO_PER_CENT


@pytest.mark.parametrize(
    ("end", "left"),
    [
        ("won", {"wallet": 1000, "payment_clearing": -1000}),
        ("lost", {}),
        ("under_review", {"disputes": 1000, "payment_clearing": -1000}),
    ],
)
def test_its_end(stripe: Stripe, paid: TopUp, disputed: dict[str, Any], end: str, left: dict[str, int]) -> None:
    tell(stripe, disputed)
    disputed["status"] = end
    tell(stripe, disputed)
    assert accounts(paid.organization) == left
    assert Dispute.objects.get().status == {"under_review": "open"}.get(end, end)


@pytest.mark.parametrize("status", ["won", "warning_needs_response", "warning_closed", "prevented"])
def test_no_money_has_moved(stripe: Stripe, paid: TopUp, disputed: dict[str, Any], status: str) -> None:
    disputed["status"] = status
    tell(stripe, disputed)
    assert credit_cents(paid.organization) == 1000
    assert not Dispute.objects.exists()


def test_won_while_an_older_event_waits_for_the_payment(
    stripe: Stripe, paid: TopUp, disputed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def win() -> None:
        disputed["status"] = "won"
        tell(stripe, disputed)

    first_at_the_lock(monkeypatch, win)
    tell(stripe, disputed)
    assert credit_cents(paid.organization) == 1000
    assert not Dispute.objects.exists()


def test_heard_of_only_when_it_is_lost(stripe: Stripe, paid: TopUp, disputed: dict[str, Any]) -> None:
    disputed["status"] = "lost"
    tell(stripe, disputed)
    assert accounts(paid.organization) == {}


def test_heard_of_before_the_payment(stripe: Stripe, browser: Client, buy: Any) -> None:
    top_up = buy(browser)
    intent = stripe.pay(top_up.stripe_session)
    tell(stripe, stripe.dispute(intent))
    assert accounts(top_up.organization) == {"disputes": 1000, "payment_clearing": -1000}
    browser.get(f"/credits/top-ups/{top_up.pk}")
    assert credit_cents(top_up.organization) == 0


def test_in_another_currency_it_is_about_the_whole_payment(
    stripe: Stripe, paid: TopUp, disputed: dict[str, Any]
) -> None:
    disputed.update(currency="jpy", amount=7)
    tell(stripe, disputed)
    assert accounts(paid.organization) == {"disputes": 1000, "payment_clearing": -1000}


def test_the_fee_goes_and_comes_with_it(stripe: Stripe, browser: Client, buy: Any, settings: Any) -> None:
    settings.TOPUP_FEE_FIXED_CENTS = 50
    top_up = buy(browser)
    dispute = stripe.dispute(stripe.pay(top_up.stripe_session))
    tell(stripe, dispute)
    assert accounts(top_up.organization) == {"disputes": 1050, "payment_clearing": -1050}
    dispute["status"] = "won"
    tell(stripe, dispute)
    assert accounts(top_up.organization) == {"wallet": 1000, "fees": 50, "payment_clearing": -1050}


def test_a_payment_of_somebody_elses(stripe: Stripe, paid: TopUp) -> None:
    """The account at Stripe may sell other things too."""
    other = stripe.put(
        "payment_intents", id="pi_shop", status="succeeded", amount=1000, currency="usd", customer=None,
        payment_method="pm_card", metadata={"top_up": "x"},
    )  # fmt: skip
    tell(stripe, stripe.dispute(other))
    for kind in ("payment_intent.succeeded", "payment_intent.payment_failed"):
        assert send(stripe.event(kind, other)).status_code == 200
    assert credit_cents(paid.organization) == 1000
