"""Uptime as pages show it: the days as bars, the state of a provider, live numbers of an endpoint."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone
from msgspec import Struct

from gateway.routing.monitor import Figures, Monitor
from providers.models import Incident, Uptime
from providers.statistics import uptime

DAYS = 90
WIDTH = 6
GAP = 2
GOOD, FAIR = 99.0, 95.0
NOTHING = Monitor()


class Bar(Struct, frozen=True):
    day: date
    x: int
    share: float | None
    """Per cent; None where nothing is known."""
    width: int = WIDTH - GAP

    @property
    def look(self) -> str:
        if self.share is None:
            return "fill-base-300"
        return "fill-success" if self.share >= GOOD else "fill-warning" if self.share >= FAIR else "fill-error"


class History(Struct, frozen=True):
    bars: list[Bar]
    share: float | None
    """Of all days, per cent."""
    width: int = DAYS * WIDTH


def histories(by: str, keys: Iterable[Any]) -> dict[Any, History]:
    """Of the last 90 days, today included; `by` is `endpoint` or `endpoint__provider__slug`."""
    wanted = list(keys)
    first = timezone.now().date() - timedelta(days=DAYS - 1)
    rows = Uptime.objects.filter(span=Uptime.Span.DAY, begins_at__date__gte=first, **{f"{by}__in": wanted})
    sums = rows.values(by, "begins_at").annotate(good=Sum("successes"), bad=Sum("faults")).order_by()
    found: dict[Any, dict[date, tuple[int, int]]] = {key: {} for key in wanted}
    for row in sums:
        found[row[by]][row["begins_at"].date()] = (row["good"], row["bad"])
    return {key: history(first, days) for key, days in found.items()}


def history(first: date, days: Mapping[date, tuple[int, int]]) -> History:
    bars = []
    for number in range(DAYS):
        day = first + timedelta(days=number)
        bars.append(Bar(day, number * WIDTH, uptime(*days.get(day, (0, 0)))))
    good, bad = (sum(counts[place] for counts in days.values()) for place in (0, 1))
    return History(bars, uptime(good, bad))


def figures(request: HttpRequest, endpoints: Iterable[UUID]) -> dict[UUID, Figures]:
    """What this process knows of them at this moment."""
    seen = monitor(request)
    return {endpoint: seen.figures(endpoint) for endpoint in endpoints}


def monitor(request: HttpRequest) -> Monitor:
    """This process's; one that has seen nothing where no process's services are (runserver, test client)."""
    state = getattr(request, "scope", {}).get("state", {})
    found: Monitor = state["services"].monitor if "services" in state else NOTHING
    return found


def states(slugs: Iterable[str]) -> dict[str, str]:
    """`down` or `degraded` while there is an incident, else `up`."""
    found = dict.fromkeys(slugs, "up")
    for slug, endpoint in Incident.objects.open().values_list("provider__slug", "endpoint"):
        if slug in found and found[slug] != "down":
            found[slug] = "down" if endpoint is None else "degraded"
    return found
