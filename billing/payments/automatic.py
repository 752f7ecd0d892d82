"""Automatic top-ups: when less than the threshold is left, the saved card pays, one payment at a time.

Never two at once: a partial unique index allows one that is pending, an advisory lock one process that works on it, and
Stripe is asked under the top-up's id.
"""

import logging
import random
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from billing.payments import amounts, client
from billing.payments.alone import alone
from billing.payments.client import Intent
from billing.payments.errors import Away, Declined, Mismatch, PaymentError
from billing.payments.fulfilment import close, note_mismatch, settle_intent
from billing.payments.models import CURRENCY, LEFT, NANO_PER_CENT, BillingProfile, TopUp

logger = logging.getLogger(__name__)

# Of the class of advisory locks that are ours here; the second number is the organization's.
LOCK_CLASS = 7_301


def due() -> QuerySet[BillingProfile]:
    rested = _switched_on().exclude(payment_method="").filter(Q(retry_at=None) | Q(retry_at__lte=timezone.now()))
    return rested.annotate(left=LEFT).filter(left__lt=F("threshold_cents") * NANO_PER_CENT)


def run() -> None:
    """Tops up those who are due, and goes on with what an earlier run could not end.

    Until Stripe does not answer: with the others it would take as long again.
    """
    organizations = [*{*due().values_list("pk", flat=True), *_pending().values_list("organization", flat=True)}]
    # In another order each time: none waits for ever behind one that Stripe has no answer for.
    random.shuffle(organizations)
    for organization_id in organizations:
        with alone(LOCK_CLASS, int.from_bytes(organization_id.bytes[-4:], signed=True)) as is_alone:
            if is_alone:
                try:
                    _top_up(organization_id)
                except Away:
                    # The row stays pending; the next run asks again.
                    return
                except SoftTimeLimitExceeded:
                    raise
                except Exception:
                    # The others must not wait for this one.
                    logger.exception("the automatic top-up of %s broke off", organization_id)


def _switched_on() -> QuerySet[BillingProfile]:
    # Suspended organizations buy nothing.
    return BillingProfile.objects.filter(is_automatic=True, organization__suspended_at=None)


def _pending() -> QuerySet[TopUp]:
    return TopUp.objects.filter(source=TopUp.Source.AUTOMATIC, status=TopUp.Status.PENDING)


def _top_up(organization_id: UUID) -> None:
    pending = _pending().filter(organization=organization_id).first()
    top_up = pending or _begin(organization_id)
    if top_up is None:
        return
    profile = BillingProfile.objects.get(pk=organization_id)
    try:
        if pending is None:
            _charge(top_up, profile)
        else:
            _go_on(top_up, profile)
    except Away:
        raise
    except Mismatch as error:
        note_mismatch(top_up, error)
    except PaymentError as error:
        close(top_up, TopUp.Status.FAILED, str(error))


def _begin(organization_id: UUID) -> TopUp | None:
    # Asked again under the lock: another run may just have topped up.
    profile = due().filter(pk=organization_id).first()
    if profile is None or not amounts.is_allowed(profile.amount_cents):
        return None
    try:
        with transaction.atomic():
            return TopUp.objects.create(
                organization_id=organization_id,
                source=TopUp.Source.AUTOMATIC,
                credit_cents=profile.amount_cents,
                fee_cents=amounts.fee(profile.amount_cents),
            )
    except IntegrityError:
        return None


def _go_on(top_up: TopUp, profile: BillingProfile) -> None:
    """Stripe forgets idempotency keys after a day, so a payment that may be there is looked for first."""
    if not top_up.stripe_intent and profile.stripe_customer:
        for intent in client.intents(profile.stripe_customer):
            if intent.metadata.get("top_up") == str(top_up.pk):
                _note(top_up, intent)
                return
    if top_up.stripe_intent:
        _note(top_up, client.intent(top_up.stripe_intent))
    elif _switched_on().filter(pk=profile.pk).exists():
        _charge(top_up, profile)
    else:
        # No failure of the card's, so no mail and no wait. Should a request still be on its way to Stripe and be paid,
        # the event about it credits it.
        _pending().filter(pk=top_up.pk).update(status=TopUp.Status.FAILED, error="Switched off before it was paid.")


def _charge(top_up: TopUp, profile: BillingProfile) -> None:
    if not profile.payment_method or not profile.stripe_customer:
        close(top_up, TopUp.Status.FAILED, "There is no card any more.")
        return
    params = {
        "amount": top_up.total_cents,
        "currency": CURRENCY,
        "customer": profile.stripe_customer,
        "payment_method": profile.payment_method,
        "off_session": "true",
        "confirm": "true",
        "metadata": {"top_up": str(top_up.pk)},
    }
    try:
        _note(top_up, client.create_intent(params, key=str(top_up.pk)))
    except Declined as error:
        if error.intent:
            TopUp.objects.filter(pk=top_up.pk).update(stripe_intent=error.intent)
        raise


def _note(top_up: TopUp, intent: Intent) -> None:
    TopUp.objects.filter(pk=top_up.pk).update(stripe_intent=intent.id)
    settle_intent(top_up, intent)
    if intent.status in ("requires_action", "requires_confirmation"):
        # Nobody is there to confirm it.
        client.cancel_intent(intent.id)
        close(top_up, TopUp.Status.FAILED, "The bank asks the card's owner to confirm each payment.")
