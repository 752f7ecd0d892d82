"""What was used under a budget, by period. The till keeps the counters; a period that has passed counts as 0."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from billing.models import Budget


class BudgetUsage(Struct, frozen=True):
    """nano-USD."""

    total: int = 0
    day: int = 0
    week: int = 0
    month: int = 0

    def within(self, window: str) -> int:
        return {"daily": self.day, "weekly": self.week, "monthly": self.month}.get(window, self.total)


UNUSED = BudgetUsage()


def usage(budget_id: UUID) -> BudgetUsage:
    return usages([budget_id]).get(budget_id, UNUSED)


def usages(budget_ids: Iterable[UUID]) -> dict[UUID, BudgetUsage]:
    """Those without a row were never used."""
    today = datetime.now(UTC).date()
    return {row.pk: _current(row, today) for row in Budget.objects.filter(pk__in=list(budget_ids))}


def _current(row: Budget, today: date) -> BudgetUsage:
    return BudgetUsage(
        total=row.used,
        day=row.used_day if row.day == today else 0,
        week=row.used_week if row.week == today - timedelta(days=today.weekday()) else 0,
        month=row.used_month if row.month == today.replace(day=1) else 0,
    )
