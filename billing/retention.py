"""Generations are kept for a while: months that are wholly older are dropped as partitions."""

import logging
import re
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from billing.models import Idempotency, UsageApp, UsageHour, UsageMark

logger = logging.getLogger(__name__)

PARTITION = re.compile(r"billing_generation_(\d{4})_(\d{2})", re.ASCII)
# Making or dropping one waits for the till's calls and stands in the way of those that come after: only for this long.
LOCK_TIMEOUT = "200ms"
# A generation may close long after the time in its id; this much later its sums have been made for good.
SETTLED = timedelta(days=2)
ANSWERS_KEPT = timedelta(hours=24)


def kept_from() -> datetime:
    return datetime.now(UTC) - timedelta(days=settings.GENERATION_RETENTION_DAYS)


def drop_old_generations() -> list[str]:
    """The partitions that were dropped. What is in the way now is dropped by the next run."""
    until = kept_from()
    mark = UsageMark.objects.first()
    if mark is None or mark.rolled_up_until < datetime.now(UTC) - SETTLED:
        logger.warning("no generations are dropped: usage is not summed up yet")
        return []
    with connection.cursor() as cursor:
        # What found no month is little, and no partition of its own to drop.
        cursor.execute("DELETE FROM billing_generation_default WHERE id < uuid7_floor(%s)", [until.date()])
    # Days stay: the proof of the books needs them.
    UsageHour.objects.filter(hour__lt=until).delete()
    UsageApp.objects.filter(hour__lt=until).delete()
    old = [name for name in partitions() if (end := end_of(name)) is not None and end <= until.date()]
    return [name for name in old if drop(name)]


def drop_old_answers() -> int:
    """Of requests that were to be answered once; the till no longer gives them out."""
    return Idempotency.objects.filter(closed_at__lt=timezone.now() - ANSWERS_KEPT).delete()[0]


def partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'billing_generation'::regclass"
        )
        return sorted(name for (name,) in cursor.fetchall())


def make_partitions() -> None:
    """Of this month and the next two: what is in the way now leaves it to a later run, long before it is needed."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            cursor.execute("SELECT generation_partitions(2)")
    except OperationalError as error:
        logger.warning("generations are in use and get no partitions for now: %s", str(error).partition("\n")[0])


def end_of(partition: str) -> date | None:
    """The first day after its month; None for the default partition."""
    found = PARTITION.fullmatch(partition)
    if found is None:
        return None
    year, month = int(found[1]), int(found[2])
    return date(year + month // 12, month % 12 + 1, 1)


def drop(partition: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(partition)}")
    except OperationalError as error:
        logger.warning("%s is in use and stays for now: %s", partition, str(error).strip())
        return False
    logger.info("dropped %s", partition)
    return True
