"""Refunds: credit is taken first, then Stripe is asked under the refund's id, and what it refuses is credit again."""

import logging
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.payments import client
from billing.payments.errors import Away, NotAllowed, PaymentError
from billing.payments.models import NANO_PER_CENT, Refund, TopUp

logger = logging.getLogger(__name__)

FAILED = frozenset({"failed", "canceled"})


def refundable_cents(top_up: TopUp) -> int:
    """Of the payment; what the wallet still has of it, the ledger says when it is taken."""
    paid = top_up.status == TopUp.Status.PAID and top_up.stripe_intent
    return top_up.credit_left_cents if paid else 0


def take(top_up: TopUp, *, id: UUID, credit_cents: int, with_fee: bool, reason: str, user: User | None) -> Refund:
    """Takes the credit; `pay` must follow. The second time with an id takes nothing and returns the first's refund.

    Raises NotAllowed, and NotRefundable when the wallet has less.
    """
    with transaction.atomic():
        row = TopUp.objects.locked(top_up.pk)
        before = Refund.objects.filter(pk=id).first()
        if before is not None and before.top_up_id == row.pk:
            return before
        if before is not None:
            raise NotAllowed("This form was of another payment: open it anew.")
        if not 0 < credit_cents <= refundable_cents(row):
            raise NotAllowed("More than is left of this payment.")
        refund = Refund.objects.create(
            id=id,
            top_up=row,
            created_by=user,
            credit_cents=credit_cents,
            fee_cents=row.fee_left_cents if with_fee else 0,
            reason=reason,
        )
        ledger.refund(
            row.organization,
            amount=credit_cents * NANO_PER_CENT,
            fee=refund.fee_cents * NANO_PER_CENT,
            reference=refund.reference,
            reason=reason,
            created_by=user,
        )
    return refund


def pay(refund: Refund) -> Refund:
    """Has Stripe pay it back. Without an answer the row waits, and the task asks again."""
    params = {
        "payment_intent": refund.top_up.stripe_intent,
        "amount": refund.credit_cents + refund.fee_cents,
        "metadata": {"refund": str(refund.pk)},
    }
    try:
        _note(refund, client.create_refund(params, key=str(refund.pk)))
    except Away as error:
        Refund.objects.filter(pk=refund.pk).update(error=str(error))
    except PaymentError as error:
        _end(refund, is_paid=False, error=str(error))
    refund.refresh_from_db()
    return refund


def pay_waiting(refunds: Iterable[Refund]) -> None:
    """Asks again for those without an answer; Stripe forgets idempotency keys after a day, so it is looked up first.

    Until Stripe does not answer: with the others it would take as long again.
    """
    for refund in refunds:
        try:
            reconcile(refund.top_up)
        except Away:
            return
        except PaymentError as error:
            logger.warning("%s waits: %s", refund, error)
            continue
        refund.refresh_from_db()
        if refund.status == Refund.Status.TAKEN and pay(refund).status == Refund.Status.TAKEN:
            return


def reconcile(top_up: TopUp) -> None:
    """Brings our rows to what Stripe says of the payment's refunds, those made in its dashboard included."""
    if not top_up.stripe_intent:
        return
    with transaction.atomic():
        TopUp.objects.locked(top_up.pk)
        # Asked under the lock: of two events at once, the one that waited must not write the older answer.
        for found in client.refunds(top_up.stripe_intent):
            own = top_up.refunds.filter(stripe_refund=found.id).first() or _ours(top_up, found)
            if own is not None:
                _note(own, found)
            elif found.status not in FAILED:
                _note_outside(top_up, found)


def _ours(top_up: TopUp, found: client.Refund) -> Refund | None:
    """By what we told Stripe when we asked: the answer may never have come."""
    named = found.metadata.get("refund")
    return next((row for row in top_up.refunds.all() if str(row.pk) == named), None)


def _note(refund: Refund, found: client.Refund) -> None:
    if found.status in FAILED:
        _end(refund, is_paid=False, error=found.failure_reason or "Stripe could not pay it back.", stripe_id=found.id)
    else:
        _end(refund, is_paid=True, stripe_id=found.id)


def _end(refund: Refund, *, is_paid: bool, error: str = "", stripe_id: str | None = None) -> None:
    """Paid may still become refused, when a bank sends the money back; refused is final."""
    with transaction.atomic():
        row = Refund.objects.select_for_update().get(pk=refund.pk)
        if row.status == Refund.Status.REFUSED or (is_paid and row.status == Refund.Status.PAID):
            return
        if is_paid:
            ledger.refund_paid(row.reference, reason=row.reason)
        else:
            ledger.refund_refused(row.reference, reason=error[:500])
        row.status = Refund.Status.PAID if is_paid else Refund.Status.REFUSED
        row.error, row.stripe_refund = error[:500], stripe_id or row.stripe_refund
        row.save(update_fields=["status", "error", "stripe_refund"])


def _note_outside(top_up: TopUp, found: client.Refund) -> None:
    with transaction.atomic():
        row = TopUp.objects.locked(top_up.pk)
        if Refund.objects.filter(stripe_refund=found.id).exists():
            return
        credit = min(found.amount, row.credit_left_cents)
        fee = min(found.amount - credit, row.fee_left_cents)
        if not credit:
            return
        refund = Refund.objects.create(
            top_up=row,
            credit_cents=credit,
            fee_cents=fee,
            status=Refund.Status.PAID,
            stripe_refund=found.id,
            reason="Refunded at Stripe",
            created_at=timezone.now(),
        )
        ledger.refunded(
            row.organization,
            amount=credit * NANO_PER_CENT,
            fee=fee * NANO_PER_CENT,
            reference=refund.reference,
            reason=refund.reason,
        )
