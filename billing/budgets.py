"""What was used under a budget, by period. The till keeps the counters; a period that has passed counts as 0."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db.models import Case, Expression, OuterRef, Subquery, When
from django.db.models.functions import Coalesce
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


def used_now() -> Expression:
    """For rows of keys: what each has used in the running period of its limit; for all time without one."""
    today = datetime.now(UTC).date()
    return Case(
        When(limit_reset="daily", then=_counter("used_day", day=today)),
        When(limit_reset="weekly", then=_counter("used_week", week=today - timedelta(days=today.weekday()))),
        When(limit_reset="monthly", then=_counter("used_month", month=today.replace(day=1))),
        default=_counter("used"),
    )


def _counter(name: str, **period: date) -> Expression:
    row = Budget.objects.filter(pk=OuterRef("pk"), **period)
    return Coalesce(Subquery(row.values(name)[:1]), 0)
