"""A model over time: tokens by day, and how fast its endpoints were by hour, as shapes that the template draws."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from django.utils import timezone
from msgspec import Struct

from billing import usage
from providers.models import Uptime
from providers.snapshot import Endpoint

DAYS = 30
HOURS = 7 * 24
HEIGHT = 100
STEP = 4
BAR, GAP = 20, 4
# So many have a colour of their own; the rest have one together.
COLOURED = 6
MEASURES = {"latency": ("latency_count", "latency_ms_sum"), "throughput": ("throughput_count", "throughput_sum")}

# By hour, the oldest first; None where nothing is known.
Values = list[float | None]


class Bar(Struct, frozen=True):
    day: date
    tokens: int
    x: int
    y: str
    height: str
    width: int = BAR - GAP


class Line(Struct, frozen=True):
    endpoint: Endpoint
    colour: int
    path: str
    """Of an SVG `path`; empty where nothing is known."""
    mean: float | None


class Chart(Struct, frozen=True):
    lines: list[Line]
    most: float
    width: int = HOURS * STEP

    @property
    def is_empty(self) -> bool:
        return not any(line.path for line in self.lines)


def bars(model: str) -> list[Bar]:
    tokens = usage.tokens_by_day(model, days=DAYS)
    first = timezone.now().date() - timedelta(days=DAYS - 1)
    most = max(tokens.values(), default=0) or 1
    found = []
    for number in range(DAYS):
        day = first + timedelta(days=number)
        height = tokens.get(day, 0) * HEIGHT / most
        found.append(Bar(day, tokens.get(day, 0), number * BAR, f"{HEIGHT - height:.2f}", f"{height:.2f}"))
    return found


def charts(endpoints: Sequence[Endpoint]) -> dict[str, Chart]:
    """By measure: `latency` in milliseconds, `throughput` in tokens a second; means of each hour of a week."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    first = now - timedelta(hours=HOURS - 1)
    rows = Uptime.objects.filter(
        span=Uptime.Span.HOUR, begins_at__gte=first, endpoint__in=[endpoint.id for endpoint in endpoints]
    )
    found = list(rows)
    return {
        measure: chart(endpoints, values(found, first, count, total)) for measure, (count, total) in MEASURES.items()
    }


def values(rows: Iterable[Uptime], first: datetime, count: str, total: str) -> dict[UUID, Values]:
    found: dict[UUID, Values] = {}
    for row in rows:
        hour = int((row.begins_at - first) / timedelta(hours=1))
        if getattr(row, count) and 0 <= hour < HOURS:
            found.setdefault(row.endpoint_id, [None] * HOURS)[hour] = getattr(row, total) / getattr(row, count)
    return found


def chart(endpoints: Sequence[Endpoint], found: Mapping[UUID, Values]) -> Chart:
    most = max((value for values in found.values() for value in values if value is not None), default=0) or 1
    lines = []
    for number, endpoint in enumerate(endpoints):
        of_endpoint = found.get(endpoint.id, [])
        known = [value for value in of_endpoint if value is not None]
        mean = sum(known) / len(known) if known else None
        lines.append(Line(endpoint, min(number, COLOURED), path_of(of_endpoint, most), mean))
    return Chart(lines, most)


def path_of(found: Values, most: float) -> str:
    """Broken where nothing is known; a single hour is a dash."""
    parts = []
    before: float | None = None
    for hour, value in enumerate(found):
        if value is not None:
            y = HEIGHT - value * HEIGHT / most
            parts.append(f"{'M' if before is None else 'L'}{hour * STEP} {y:.1f}h{STEP - 1}")
        before = value
    return "".join(parts)
