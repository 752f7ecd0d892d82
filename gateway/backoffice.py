"""The first page of the admin: health at a glance."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from msgspec import Struct

from accounts.models import User
from billing import glance
from billing.glance import Sums
from providers.models import Probe, Provider

plain_index = admin.site.index
BAR, GAP, HEIGHT = 20, 4, 60


class Bar(Struct, frozen=True):
    """Requests of an hour, and how many of them failed, as heights of the chart."""

    hour: Sums
    x: int
    y: float
    height: float
    failed: float
    width: int = BAR - GAP

    @property
    def failed_y(self) -> float:
        return HEIGHT - self.failed


class Row(Struct, frozen=True):
    """A provider: its last day, and how its last half an hour of probes went (percent)."""

    provider: Provider
    sums: Sums
    uptime: float | None


def index(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Money is for who may see generations; others get the plain page."""
    may_see = isinstance(request.user, User) and request.user.has_perm("billing.view_generation")
    context = {**(extra_context or {}), **(glanced() if may_see else {})}
    return plain_index(request, extra_context=context)


def glanced() -> dict[str, Any]:
    hours = glance.by_hour()
    return {
        "bars": bars(hours),
        "chart": {"width": BAR * len(hours), "height": HEIGHT},
        "day": glance.total(hours),
        "hour": hours[-1],
        "open": glance.now_open(),
        "providers": rows(),
    }


def bars(hours: list[Sums]) -> list[Bar]:
    most = max((hour.requests for hour in hours), default=0) or 1
    return [
        Bar(hour, number * BAR + GAP // 2, HEIGHT - height, height, hour.errors * HEIGHT / most)
        for number, hour in enumerate(hours)
        for height in [hour.requests * HEIGHT / most]
    ]


def rows() -> list[Row]:
    """The providers that were asked or probed, the busiest first."""
    by_slug = glance.by_provider()
    uptime = Probe.objects.uptime(Probe.HALF_AN_HOUR)
    found = Provider.objects.filter(slug__in={*by_slug, *uptime})
    made = [
        Row(provider, by_slug.get(provider.slug, Sums(provider.name)), percent(uptime.get(provider.slug)))
        for provider in found
    ]
    return sorted(made, key=lambda row: (-row.sums.requests, row.provider.slug))


def percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
