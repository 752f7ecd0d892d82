"""From paid to credited: whatever says that something was paid, Stripe is asked, and its answer compared with our row.

A webhook, the page that people come back to and the task for open top-ups all end here, any number of times and in any
order: the row's lock and the ledger's reference let one of them move the money.
"""

import logging

from django.db import transaction
from django.utils import timezone

from billing import ledger
from billing.payments import client
from billing.payments.backoff import count_failure, forget_failures
from billing.payments.client import Intent, Session
from billing.payments.errors import Mismatch, PaymentError
from billing.payments.models import CURRENCY, NANO_PER_CENT, BillingProfile, TopUp
from billing.payments.profiles import remember_card

logger = logging.getLogger(__name__)

# No more charges follow from an intent in one of these.
DEAD = frozenset({"canceled", "requires_payment_method"})


def settle(top_up: TopUp) -> TopUp:
    """Brings the row to what Stripe says of it now. Raises PaymentError, and Mismatch with nothing changed."""
    if top_up.status == TopUp.Status.PAID:
        return top_up
    if top_up.stripe_session:
        _settle_session(top_up, client.session(top_up.stripe_session))
    elif top_up.stripe_intent:
        settle_intent(top_up, client.intent(top_up.stripe_intent))
    top_up.refresh_from_db()
    return top_up


def settle_intent(top_up: TopUp, intent: Intent) -> None:
    """Of an automatic top-up."""
    customer = BillingProfile.objects.values_list("stripe_customer", flat=True).get(pk=top_up.organization_id)
    if intent.metadata.get("top_up") != str(top_up.pk) or intent.customer != customer:
        raise Mismatch(f"{intent.id} is not of {top_up}")
    if intent.status == "succeeded":
        credit(top_up, intent=intent.id, cents=intent.amount, currency=intent.currency)
    elif intent.status in DEAD:
        close(top_up, TopUp.Status.FAILED, "The card was not charged.")


def credit(top_up: TopUp, *, intent: str | None, cents: int | None, currency: str | None) -> bool:
    """Posts the credit of a payment, once. Raises Mismatch when another amount was paid."""
    with transaction.atomic():
        row = TopUp.objects.locked(top_up.pk)
        if row.status == TopUp.Status.PAID:
            return False
        if (cents, currency) != (row.total_cents, CURRENCY):
            raise Mismatch(f"{row}: {cents} {currency} paid, {row.total_cents} {CURRENCY} asked for")
        row.posted = ledger.top_up(
            row.organization,
            amount=row.credit_cents * NANO_PER_CENT,
            fee=row.fee_cents * NANO_PER_CENT,
            reference=row.reference,
            reason="Automatic top-up" if row.source == TopUp.Source.AUTOMATIC else "Card payment",
            created_by=row.created_by,
        )
        row.status, row.paid_at, row.error = TopUp.Status.PAID, timezone.now(), ""
        row.stripe_intent = intent or row.stripe_intent
        row.save()
        if row.source == TopUp.Source.AUTOMATIC:
            forget_failures(row)
    return True


def close(top_up: TopUp, status: TopUp.Status, error: str = "") -> bool:
    """It was not paid. Should Stripe say later that it was after all, it is credited then."""
    with transaction.atomic():
        pending = TopUp.objects.filter(pk=top_up.pk, status=TopUp.Status.PENDING)
        is_changed = pending.update(status=status, error=error[:500]) == 1
        if is_changed and top_up.source == TopUp.Source.AUTOMATIC:
            count_failure(top_up, error)
    return is_changed


def note_mismatch(top_up: TopUp, error: Mismatch) -> None:
    """Somebody has to look at this; no money moved here."""
    logger.error("payment does not match: %s", error)
    TopUp.objects.filter(pk=top_up.pk).update(error=str(error)[:500])


def _settle_session(top_up: TopUp, session: Session) -> None:
    if session.mode != "payment" or session.metadata.get("top_up") != str(top_up.pk):
        raise Mismatch(f"{session.id} is not of {top_up}")
    if session.payment_status == "paid":
        credit(top_up, intent=session.payment_intent, cents=session.amount_total, currency=session.currency)
        if top_up.saves_card and session.payment_intent:
            _save_card(top_up, session.payment_intent)
    elif session.status == "expired":
        close(top_up, TopUp.Status.EXPIRED)
    elif session.status == "complete" and _has_failed(session):
        close(top_up, TopUp.Status.FAILED, "The payment failed.")


def _has_failed(session: Session) -> bool:
    """Some ways of paying take days, and fail long after the page was left."""
    return session.payment_intent is not None and client.intent(session.payment_intent).status in DEAD


def _save_card(top_up: TopUp, intent_id: str) -> None:
    """The payment stands whether or not this works."""
    try:
        used = client.intent(intent_id).payment_method
        if used:
            remember_card(top_up.organization, used)
    except PaymentError as error:
        logger.warning("the card of %s was not saved: %s", top_up, error)
