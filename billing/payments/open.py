"""Top-ups that nobody has said the end of: a webhook may be lost, and people close their browser."""

import logging
from datetime import timedelta

from django.utils import timezone

from billing.payments.errors import Away, Mismatch, PaymentError
from billing.payments.fulfilment import close, note_mismatch, settle
from billing.payments.models import TopUp

logger = logging.getLogger(__name__)

# The page that people come back to asks at once, and so does a webhook.
PATIENCE = timedelta(minutes=10)
# A page of Stripe's can be paid on for a day; some ways of paying then take two weeks.
GIVEN_UP = timedelta(days=21)


def look_after() -> None:
    """Until Stripe does not answer: with the others it would take as long again."""
    now = timezone.now()
    pending = TopUp.objects.filter(source=TopUp.Source.CHECKOUT, status=TopUp.Status.PENDING)
    # In another order each time: none waits for ever behind one that Stripe has no answer for.
    for top_up in pending.filter(created_at__lt=now - PATIENCE).order_by("?"):
        if not top_up.stripe_session or top_up.created_at < now - GIVEN_UP:
            close(top_up, TopUp.Status.EXPIRED)
        elif not _ask(top_up):
            return


def _ask(top_up: TopUp) -> bool:
    """Whether Stripe answered."""
    try:
        settle(top_up)
    except Mismatch as error:
        note_mismatch(top_up, error)
    except Away:
        return False
    except PaymentError as error:
        logger.warning("%s could not be looked up: %s", top_up, error)
    return True
