"""What was used under a budget, by period. The till keeps the counters; a period that has passed counts as 0."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Expression, OuterRef, Subquery, When
from django.db.models.functions import Coalesce
from msgspec import Struct

from accounts.models import ApiKey, Membership, Organization, Window
from billing.models import Budget, Wallet
from billing.spending import by_day

ALL_TIME = date(1970, 1, 1)


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
        week=row.used_week if row.week == began("weekly", today) else 0,
        month=row.used_month if row.month == began("monthly", today) else 0,
    )


def set_budget(row: Organization | Membership, nano: int | None, reset: str) -> None:
    """What an organization, or one of its members with all keys that they made, may spend. None: as it likes.

    It counts what its periods have seen so far; requests that are open at this moment are not in it.
    """
    begins = row.budget_nano is None and nano is not None
    row.budget_nano, row.budget_reset = nano, reset
    organization = row if isinstance(row, Organization) else row.organization
    with transaction.atomic():
        if begins:
            # Nothing closes between the sums and their being written.
            Wallet.objects.locked(organization)
            _count_from_now(row, organization)
        row.save(update_fields=["budget_nano", "budget_reset"])


def _count_from_now(row: Organization | Membership, organization: Organization) -> None:
    keys = None
    if isinstance(row, Membership):
        made = ApiKey.objects.filter(organization=organization, created_by_id=row.user_id)
        keys = list(made.values_list("pk", flat=True))
    today = datetime.now(UTC).date()
    age = (today - organization.created_at.astimezone(UTC).date()).days
    spent = by_day(organization.pk, days=max(age, 31) + 1, keys=keys)
    week, month = began("weekly", today), began("monthly", today)
    Budget.objects.update_or_create(
        pk=row.budget_id,
        defaults={
            "used": sum(day.charge for day in spent),
            "day": today,
            "used_day": spent[-1].charge,
            "week": week,
            "used_week": sum(day.charge for day in spent if day.date >= week),
            "month": month,
            "used_month": sum(day.charge for day in spent if day.date >= month),
        },
    )


def began(window: str, today: date) -> date:
    """When the running period did; ALL_TIME without a window."""
    match window:
        case "daily":
            return today
        case "weekly":
            return today - timedelta(days=today.weekday())
        case "monthly":
            return today.replace(day=1)
        case _:
            return ALL_TIME


def resets_at(window: Window | None, now: datetime) -> datetime | None:
    """When the running period ends: at 00:00 UTC, weeks on Monday."""
    if window is None:
        return None
    this = began(window, now.astimezone(UTC).date())
    # A month and a day or more from its first is in the next.
    following = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=32)}[window]
    return datetime.combine(began(window, this + following), time(), UTC)


def used_now() -> Expression:
    """For rows of keys: what each has used in the running period of its limit; for all time without one."""
    today = datetime.now(UTC).date()
    return Case(
        When(limit_reset="daily", then=_counter("used_day", day=today)),
        When(limit_reset="weekly", then=_counter("used_week", week=began("weekly", today))),
        When(limit_reset="monthly", then=_counter("used_month", month=began("monthly", today))),
        default=_counter("used"),
    )


def _counter(name: str, **period: date) -> Expression:
    row = Budget.objects.filter(pk=OuterRef("pk"), **period)
    return Coalesce(Subquery(row.values(name)[:1]), 0)
