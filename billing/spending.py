"""What an organization spent, day by day: from the roll-ups as far as they have come, by day and then by hour, from
generations after that.

So the days add up to the wallet's `spent` whether or not the last roll-up has run.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDate
from msgspec import Struct

from billing.generations import first_id
from billing.models import Generation, UsageDay, UsageHour
from billing.usage import final_since

# A generation may have begun long before it closed: its hold expires late when the till was away.
LONGEST = timedelta(days=1)


class Day(Struct, frozen=True):
    """nano-USD."""

    date: date
    charge: int


def by_day(organization_id: UUID, *, days: int, keys: Collection[UUID] | None = None) -> list[Day]:
    """The last `days` days in UTC, today included, each there even when nothing was spent; of these keys, if given."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=days - 1)
    start = datetime.combine(first, time(), UTC)
    days_end, hours_end = final_since(start)
    charges: dict[date, int] = {}
    for rows in (
        UsageDay.objects.filter(day__gte=first, day__lt=days_end.date()).values_list("day"),
        UsageHour.objects.filter(hour__gte=days_end, hour__lt=hours_end).values_list(TruncDate("hour", tzinfo=UTC)),
        _live(hours_end),
    ):
        own = rows.filter(organization_id=organization_id, **({} if keys is None else {"api_key_id__in": keys}))
        for day, charge in own.annotate(Sum("charge")):
            charges[day] = charges.get(day, 0) + charge
    wanted = (first + timedelta(days=number) for number in range(days))
    return [Day(day, charges.get(day, 0)) for day in wanted]


def _live(since: datetime) -> QuerySet[Any, Any]:
    rows = Generation.objects.filter(id__gte=first_id(since - LONGEST), closed_at__gte=since)
    return rows.values_list(TruncDate("closed_at", tzinfo=UTC))
