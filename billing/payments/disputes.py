"""Disputes: the credit goes when the payer's bank takes the money, and comes back when the dispute is won."""

from django.db import transaction
from django.utils import timezone

from billing import ledger
from billing.payments import client
from billing.payments.models import CURRENCY, NANO_PER_CENT, Dispute, TopUp
from billing.payments.refunds import refundable_cents

# In the others, inquiries and won ones, Stripe has not taken the money or has given it back.
TAKEN = frozenset({"needs_response", "under_review", "lost"})
ENDS = {"won": Dispute.Status.WON, "lost": Dispute.Status.LOST}


def reconcile(top_up: TopUp, stripe_dispute: str) -> str:
    """Brings our row to what Stripe says of the dispute now. Returns what was done."""
    with transaction.atomic():
        row = TopUp.objects.locked(top_up.pk)
        # Asked under the lock: of two events at once, the one that waited must not write the older answer.
        found = client.dispute(stripe_dispute)
        dispute = Dispute.objects.filter(stripe_dispute=found.id).first()
        if dispute is None:
            if found.status not in TAKEN:
                return f"{found.status}: no money has moved"
            dispute = _open(row, found)
        end = ENDS.get(found.status)
        if end is not None and dispute.status == Dispute.Status.OPEN:
            _close(dispute, end)
        return f"dispute is {dispute.status}"


def _open(top_up: TopUp, found: client.Dispute) -> Dispute:
    # In another currency it may be any part of the payment: then it is taken to be all.
    amount = found.amount if found.currency == CURRENCY else top_up.total_cents
    credit = min(amount, refundable_cents(top_up))
    dispute = Dispute.objects.create(
        stripe_dispute=found.id,
        top_up=top_up,
        credit_cents=credit,
        fee_cents=min(amount - credit, top_up.fee_left_cents) if credit else 0,
        reason=found.reason[:100],
    )
    if credit:
        ledger.dispute(
            top_up.organization,
            amount=credit * NANO_PER_CENT,
            fee=dispute.fee_cents * NANO_PER_CENT,
            reference=dispute.reference,
            reason=f"Dispute: {found.reason or 'no reason given'}"[:500],
        )
    return dispute


def _close(dispute: Dispute, end: Dispute.Status) -> None:
    if dispute.credit_cents and end == Dispute.Status.WON:
        ledger.dispute_won(dispute.reference, reason="Dispute won")
    elif dispute.credit_cents:
        ledger.dispute_lost(dispute.reference, reason="Dispute lost")
    dispute.status, dispute.closed_at = end, timezone.now()
    dispute.save(update_fields=["status", "closed_at"])
