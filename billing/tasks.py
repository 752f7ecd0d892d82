"""Background work on money. Each task may run twice or die in between: the SQL functions are idempotent."""

from celery import shared_task
from django.db import connection

from billing import alerts as notices
from billing import contents, ledger, retention
from billing import usage as rollups
from billing.payments import automatic, client, events, open, refunds
from billing.payments.alone import alone
from billing.payments.models import Refund

# While Stripe hangs, what asks it takes one of the worker's slots at most: the till's clock needs the others. The class
# of an advisory lock.
ASKING_STRIPE = 7_302
# The two tasks begin at the same moment every ten minutes, and the one of them that is rare must not always lose.
OPEN_TOP_UPS_PATIENCE_S = 10


@shared_task
def tick() -> None:
    """The till's clock, and with it the end of holds whose process never came back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT till_tick()")
        expired = 1
        while expired:
            cursor.execute("SELECT till_expire()")
            (expired,) = cursor.fetchone() or (0,)


@shared_task
def post() -> None:
    """Posts usage to the ledger."""
    ledger.post_usage()


@shared_task
def expire() -> None:
    """Takes back promotional credit whose time is over."""
    ledger.expire_promotions()


@shared_task
def usage() -> None:
    """Sums up by hour and day what has closed since the last time."""
    rollups.roll_up()


@shared_task
def partitions() -> None:
    """Makes the next months' partitions of generations ahead of time."""
    retention.make_partitions()


@shared_task
def prune() -> None:
    """Drops the months of generations that need not be kept any more, their contents, and yesterday's kept answers."""
    retention.drop_old_answers()
    retention.drop_old_generations()
    contents.prune()


@shared_task
def payments() -> None:
    """Automatic top-ups, and what waits for an answer from Stripe."""
    if not client.is_enabled():
        return
    with alone(ASKING_STRIPE) as is_alone:
        if is_alone:
            events.process_waiting()
            refunds.pay_waiting(Refund.objects.waiting().order_by("?"))
            automatic.run()


@shared_task
def open_top_ups() -> None:
    """Asks Stripe about top-ups whose end nobody has told."""
    if not client.is_enabled():
        return
    with alone(ASKING_STRIPE, patience_s=OPEN_TOP_UPS_PATIENCE_S) as is_alone:
        if is_alone:
            open.look_after()


@shared_task
def alerts() -> None:
    """Mail about low credit and used limits."""
    notices.run()
