"""What an organization spent, day by day: from the roll-ups as far as they have come, from generations after that.

So the days add up to the wallet's `spent` whether or not the last roll-up has run.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import TruncDate
from msgspec import Struct

from billing.generations import first_id
from billing.models import Generation, UsageDay
from billing.usage import final_before

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
    final = final_before("day")
    live_from = first if final is None else max(first, final.date())
    charges: dict[date, int] = {}
    rolled_up = UsageDay.objects.filter(organization_id=organization_id, day__gte=first, day__lt=live_from)
    if keys is not None:
        rolled_up = rolled_up.filter(api_key_id__in=keys)
    for day, charge in rolled_up.values_list("day").annotate(Sum("charge")):
        charges[day] = charge
    for day, charge in _live(organization_id, live_from, keys):
        charges[day] = charge
    wanted = (first + timedelta(days=number) for number in range(days))
    return [Day(day, charges.get(day, 0)) for day in wanted]


def _live(organization_id: UUID, since: date, keys: Collection[UUID] | None) -> list[tuple[date, int]]:
    start = datetime.combine(since, time(), UTC)
    rows = Generation.objects.filter(
        organization_id=organization_id, id__gte=first_id(start - LONGEST), closed_at__gte=start
    )
    if keys is not None:
        rows = rows.filter(api_key_id__in=keys)
    return list(rows.values_list(TruncDate("closed_at", tzinfo=UTC)).annotate(Sum("charge")))
