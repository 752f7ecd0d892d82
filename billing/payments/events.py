"""What Stripe tells us: stored as it came, then only taken as a hint what to ask Stripe about.

So a forged, repeated, late or reordered event moves nothing that is not so at Stripe at that moment.
"""

import hashlib
import logging
from datetime import timedelta
from typing import Any

import msgspec
from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import F
from django.utils import timezone
from msgspec import Struct

from billing.payments import client, disputes, refunds
from billing.payments.errors import Away, BadSignature, Mismatch, PaymentError
from billing.payments.fulfilment import note_mismatch, settle, settle_intent
from billing.payments.models import StripeEvent, TopUp
from billing.payments.profiles import remember_setup

logger = logging.getLogger(__name__)

# As long as Stripe itself repeats an event that was not taken.
PATIENCE = timedelta(days=3)


class Named(Struct, frozen=True):
    """The object of an event, as far as it says what it is about."""

    id: str = ""
    mode: str = ""
    payment_intent: Any = None


class Data(Struct, frozen=True):
    object: Named


class Event(Struct, frozen=True):
    type: str
    data: Data
    id: str = ""


def receive(payload: bytes, signature: str) -> StripeEvent:
    """Stores what Stripe has signed, once. Raises BadSignature, also for what cannot be read."""
    client.verify(payload, signature)
    try:
        event = msgspec.json.decode(payload, type=Event)
    except msgspec.MsgspecError as error:
        raise BadSignature(f"not an event: {error}") from None
    # Stripe names every event; what has no name is known by its content.
    name = event.id or hashlib.sha256(payload).hexdigest()
    found, _ = StripeEvent.objects.get_or_create(
        id=name[:255], defaults={"type": event.type[:100], "payload": payload.decode()}
    )
    return found


def process(event: StripeEvent) -> bool:
    """Any number of times. False without an answer from Stripe: it stays unprocessed, and the task tries again."""
    if event.processed_at is not None:
        return True
    StripeEvent.objects.filter(pk=event.pk).update(attempts=F("attempts") + 1)
    said = msgspec.json.decode(event.payload, type=Event)
    try:
        outcome = _follow(said)
    except Away as error:
        StripeEvent.objects.filter(pk=event.pk).update(outcome=str(error)[:500])
        return False
    except (Mismatch, PaymentError) as error:
        outcome = f"refused: {error}"
        logger.error("event %s changed nothing: %s", event.pk, error)
    StripeEvent.objects.filter(pk=event.pk).update(processed_at=timezone.now(), outcome=outcome[:500])
    return True


def process_waiting() -> None:
    """Until Stripe does not answer: with the others it would take as long again."""
    waiting = StripeEvent.objects.filter(processed_at=None, received_at__gt=timezone.now() - PATIENCE)
    # One without an answer is not the first again: the others must not wait for it.
    for event in waiting.order_by("attempts", "received_at"):
        try:
            if not process(event):
                return
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            # The others must not wait for this one.
            logger.exception("event %s cannot be processed", event.pk)


def _follow(event: Event) -> str:
    named = event.data.object
    match event.type.split("."):
        case ["checkout", "session", *_]:
            return _session(named)
        case ["payment_intent", "succeeded" | "payment_failed" | "canceled"]:
            return _payment(named.id)
        case ["charge", "dispute", *_]:
            return _dispute(named)
        case ["charge", "refunded"] | ["charge", "refund", _] | ["refund", _]:
            return _refunds(named)
        case _:
            return "not followed"


def _session(named: Named) -> str:
    if named.mode == "setup":
        return remember_setup(named.id)
    top_up = TopUp.objects.filter(stripe_session=named.id).first()
    if top_up is None:
        return "not a session of ours"
    return _settled(top_up)


def _payment(intent_id: str) -> str:
    top_up = top_up_of(intent_id)
    return _settled(top_up) if top_up is not None else "not a payment of ours"


def _dispute(named: Named) -> str:
    # Only what it is about: how it stands is asked under the top-up's lock.
    top_up = _paid_top_up_of(client.dispute(named.id).payment_intent)
    return disputes.reconcile(top_up, named.id) if top_up is not None else "not a payment of ours"


def _refunds(named: Named) -> str:
    top_up = _paid_top_up_of(named.payment_intent)
    if top_up is None:
        return "not a payment of ours"
    refunds.reconcile(top_up)
    return "refunds looked up"


def top_up_of(intent_id: str) -> TopUp | None:
    """By what we noted, else by what we wrote into it when we asked for it."""
    known = TopUp.objects.filter(stripe_intent=intent_id).first()
    if known is not None:
        return known
    intent = client.intent(intent_id)
    named = intent.metadata.get("top_up", "")
    found = TopUp.objects.in_metadata(named)
    if found is not None and found.source == TopUp.Source.AUTOMATIC and found.stripe_intent is None:
        settle_intent(found, intent)
    return found


def _paid_top_up_of(intent_id: Any) -> TopUp | None:
    """A refund or dispute may be heard of before the payment itself."""
    top_up = top_up_of(intent_id) if isinstance(intent_id, str) else None
    if top_up is not None:
        _settled(top_up)
        top_up.refresh_from_db()
        if (top_up.status, top_up.stripe_intent) != (TopUp.Status.PAID, intent_id):
            return None
    return top_up


def _settled(top_up: TopUp) -> str:
    try:
        return f"{top_up.pk} is {settle(top_up).status}"
    except Mismatch as error:
        note_mismatch(top_up, error)
        raise
