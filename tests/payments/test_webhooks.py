"""Events from Stripe and from others: forged, replayed, late, reordered, mismatched ones move nothing."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization, User
from billing.models import LedgerTransaction
from billing.payments import events, fulfilment
from billing.payments.models import StripeEvent, TopUp
from tests.payments.conftest import browser_of, credit_cents, send
from tests.stripe_server import Stripe, signed

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]
Buy = Callable[..., TopUp]
COMPLETED = "checkout.session.completed"


@pytest.fixture
def top_up(stripe: Stripe, browser: Client, buy: Buy) -> TopUp:
    """Paid at Stripe, and nobody here knows yet."""
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session or "")
    return top_up


def session_of(stripe: Stripe, top_up: TopUp) -> dict[str, Any]:
    return stripe.rows["checkout/sessions"][top_up.stripe_session or ""]


@pytest.mark.parametrize(
    "forge",
    [
        lambda payload: "",
        lambda payload: "t=1,v1=00",
        lambda payload: signed(payload, secret="whsec_guessed"),
        lambda payload: signed(payload + b" "),
        lambda payload: signed(payload, at=time.time() - 3600),
        lambda payload: signed(payload).replace("v1=", "v0="),
        lambda payload: "ünïcode",
    ],
    ids=["none", "nonsense", "wrong secret", "other body", "an hour old", "other scheme", "not ascii"],
)
def test_forged_events_change_nothing(
    stripe: Stripe, top_up: TopUp, organization: Organization, forge: Callable[[bytes], str]
) -> None:
    asked = len(stripe.asked)
    payload = stripe.event(COMPLETED, session_of(stripe, top_up))
    assert send(payload, forge(payload)).status_code == 400
    assert credit_cents(organization) == 0
    assert not StripeEvent.objects.exists()
    assert len(stripe.asked) == asked


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"\xff\xfe", b'{"type": "x", "data": {"object": 3}}'])
def test_signed_nonsense_is_400(stripe: Stripe, payload: bytes) -> None:
    assert send(payload).status_code == 400
    assert not StripeEvent.objects.exists()


def test_an_event_is_stored_as_it_came(stripe: Stripe, top_up: TopUp) -> None:
    payload = stripe.event(COMPLETED, session_of(stripe, top_up), api_version="some-day")
    send(payload)
    event = StripeEvent.objects.get()
    assert event.payload.encode() == payload
    assert event.processed_at is not None
    assert "paid" in event.outcome


def test_replays_credit_once(stripe: Stripe, top_up: TopUp, organization: Organization) -> None:
    payload = stripe.event(COMPLETED, session_of(stripe, top_up))
    for _ in range(3):
        assert send(payload).status_code == 200
    # The same payment under other events' ids.
    for kind in (COMPLETED, "checkout.session.async_payment_succeeded"):
        send(stripe.event(kind, session_of(stripe, top_up)))
    assert credit_cents(organization) == 1000
    assert LedgerTransaction.objects.filter(kind="top_up").count() == 1


def test_events_in_any_order(stripe: Stripe, top_up: TopUp, organization: Organization) -> None:
    """What was so earlier and arrives later is not believed."""
    session = session_of(stripe, top_up)
    intent = stripe.rows["payment_intents"][session["payment_intent"]]
    stale = {**session, "status": "open", "payment_status": "unpaid"}
    for kind, row in (
        ("payment_intent.succeeded", intent),
        ("checkout.session.async_payment_failed", stale),
        ("checkout.session.expired", stale),
        (COMPLETED, session),
        ("payment_intent.payment_failed", {**intent, "status": "requires_payment_method"}),
    ):
        assert send(stripe.event(kind, row)).status_code == 200
        assert credit_cents(organization) == 1000
    top_up.refresh_from_db()
    assert top_up.status == "paid"


def test_paid_after_it_had_expired_here_is_credited(stripe: Stripe, top_up: TopUp, organization: Organization) -> None:
    fulfilment.close(top_up, TopUp.Status.EXPIRED)
    send(stripe.event(COMPLETED, session_of(stripe, top_up)))
    assert credit_cents(organization) == 1000


def test_an_event_that_says_paid_of_an_unpaid_session(
    stripe: Stripe, browser: Client, buy: Buy, organization: Organization
) -> None:
    top_up = buy(browser)
    lie = {**session_of(stripe, top_up), "payment_status": "paid", "status": "complete"}
    assert send(stripe.event(COMPLETED, lie)).status_code == 200
    assert credit_cents(organization) == 0
    top_up.refresh_from_db()
    assert top_up.status == "pending"


@pytest.mark.parametrize(
    "change",
    [
        {"amount_total": 999},
        {"amount_total": 100000},
        {"amount_total": None},
        {"currency": "jpy"},
        {"currency": None},
        {"mode": "subscription"},
        {"metadata": {}},
        {"metadata": {"top_up": "00000000-0000-0000-0000-000000000000"}},
        {"payment_status": "no_payment_required"},
        {"payment_status": "unpaid"},
    ],
    ids=str,
)
def test_a_session_that_is_not_what_was_asked_for(
    stripe: Stripe, top_up: TopUp, organization: Organization, change: dict[str, Any]
) -> None:
    session_of(stripe, top_up).update(change)
    assert send(stripe.event(COMPLETED, session_of(stripe, top_up))).status_code == 200
    assert credit_cents(organization) == 0
    top_up.refresh_from_db()
    assert top_up.status == "pending"


def test_the_session_of_another_tenant(stripe: Stripe, top_up: TopUp, buy: Buy, charlie: User) -> None:
    """Charlie's row is pointed at Alice's paid session: Stripe says whose it is."""
    other = buy(browser_of(charlie))
    session, theirs = top_up.stripe_session, other.stripe_session
    TopUp.objects.filter(pk=top_up.pk).update(stripe_session=None)
    TopUp.objects.filter(pk=other.pk).update(stripe_session=session)
    send(stripe.event(COMPLETED, stripe.rows["checkout/sessions"][session or ""]))
    assert credit_cents(charlie.personal_organization) == 0
    # And a session of Stripe's that no row of ours names.
    assert send(stripe.event(COMPLETED, stripe.rows["checkout/sessions"][theirs or ""])).status_code == 200
    assert StripeEvent.objects.latest("received_at").outcome == "not a session of ours"


def test_stripe_away_is_made_good_by_the_task(stripe: Stripe, top_up: TopUp, organization: Organization) -> None:
    stripe.fail(f"/v1/checkout/sessions/{top_up.stripe_session}", 503, 503, 503)
    assert send(stripe.event(COMPLETED, session_of(stripe, top_up))).status_code == 200
    event = StripeEvent.objects.get()
    assert (event.processed_at, credit_cents(organization)) == (None, 0)
    events.process_waiting()
    event.refresh_from_db()
    assert event.processed_at is not None
    assert credit_cents(organization) == 1000


def test_one_event_that_breaks_does_not_hold_up_the_others(
    stripe: Stripe, top_up: TopUp, organization: Organization
) -> None:
    StripeEvent.objects.create(id="evt_a", type="x", payload="not json")
    good = stripe.event(COMPLETED, session_of(stripe, top_up)).decode()
    StripeEvent.objects.create(id="evt_b", type=COMPLETED, payload=good)
    events.process_waiting()
    assert credit_cents(organization) == 1000


def test_what_is_not_followed_is_stored_and_answered(stripe: Stripe) -> None:
    for kind in ("balance.available", "invoice.paid", "x", "charge.refund.updated"):
        assert send(stripe.event(kind, {"object": "whatever"})).status_code == 200
    # Without an id an event is known by its content.
    payload = json.dumps({"type": "balance.available", "data": {"object": {}}}).encode()
    assert [send(payload).status_code for _ in range(2)] == [200, 200]
    assert StripeEvent.objects.count() == 5


def test_only_post(stripe: Stripe) -> None:
    assert Client().get("/webhooks/stripe").status_code == 405
