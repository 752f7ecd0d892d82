"""The business in a few numbers: the last 24 hours from the roll-ups (a minute old at most), and what is open now."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Sum
from msgspec import Struct

from billing.models import Hold, UsageHour, Wallet

HOURS = 24
SUMS = ("requests", "errors", "charge", "cost")


class Sums(Struct, frozen=True):
    """Amounts in nano-USD: `charge` is the customers', `cost` the providers'."""

    name: str
    requests: int = 0
    errors: int = 0
    charge: int = 0
    cost: int = 0

    @property
    def margin(self) -> int:
        return self.charge - self.cost

    @property
    def error_percent(self) -> float:
        return 100 * self.errors / self.requests if self.requests else 0.0


class Open(Struct, frozen=True):
    """Nano-USD: what is held for requests under way, and what all wallets are owed together."""

    holds: int
    held: int
    credit: int


def last_day() -> list[dict[str, Any]]:
    """Sums by hour and provider: one look at the last 24 hours for all that follows."""
    rows = UsageHour.objects.filter(hour__gte=hours()[0]).values("hour", "provider")
    return [*rows.annotate(title=Max("provider_name"), **sums())]  # type: ignore[list-item]  # they are dicts


def hours() -> list[datetime]:
    """24 of them, the present one last."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [now - timedelta(hours=number) for number in range(HOURS - 1, -1, -1)]


def by_hour(rows: list[dict[str, Any]]) -> list[Sums]:
    """Each there even when nothing happened; named by their first minute, UTC."""
    return [named(f"{hour:%H:%M}", [row for row in rows if row["hour"] == hour]) for hour in hours()]


def by_provider(rows: list[dict[str, Any]]) -> dict[str, Sums]:
    """By slug; what no provider has answered is under ""."""
    slugs = {row["provider"]: row["title"] or row["provider"] for row in rows}
    return {slug: named(title, [row for row in rows if row["provider"] == slug]) for slug, title in slugs.items()}


def total(parts: list[Sums]) -> Sums:
    return Sums("", **{name: sum(getattr(part, name) for part in parts) for name in SUMS})


def now_open() -> Open:
    holds = Hold.objects.aggregate(count=Count("pk"), held=Sum("wallet_amount"))
    wallets = Wallet.objects.aggregate(credit=Sum("credit"), spent=Sum("spent"))
    return Open(holds["count"], holds["held"] or 0, (wallets["credit"] or 0) - (wallets["spent"] or 0))


def sums() -> dict[str, Sum]:
    return {f"sum_{name}": Sum(name) for name in SUMS}


def named(name: str, rows: list[dict[str, Any]]) -> Sums:
    return Sums(name, **{column: sum(row[f"sum_{column}"] for row in rows) for column in SUMS})
