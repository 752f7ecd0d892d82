"""The first page of the admin, health at a glance; and what its pages answer to values that cannot be."""

import logging
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from msgspec import Struct

from accounts.models import User
from billing import glance
from billing.glance import Sums
from gateway.heard import Heard, Queue, Resting, hear
from gateway.slots import line_of
from providers.models import Endpoint, Probe, Provider

plain_index = admin.site.index
plain_view = admin.site.admin_view
BAR, GAP, HEIGHT = 20, 4, 60

# Of Django's look-ups by an integer, and of its forms when an address fills in a moment. Other errors of these kinds
# are our own fault.
WORDS = ("Field '", "'str' object has no attribute 'utcoffset'")

logger = logging.getLogger(__name__)


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
    """A provider: its last day, how its last half an hour of probes went (percent), and who is there now."""

    provider: Provider
    sums: Sums
    uptime: float | None
    queue: Queue | None
    """None: it has no limit, or nobody knows."""


class Rested(Struct, frozen=True):
    endpoint: Endpoint
    breaker: Resting


def index(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Money is for who may see generations; others get the plain page."""
    may_see = isinstance(request.user, User) and request.user.has_perm("billing.view_generation")
    context = {**(extra_context or {}), **(glanced() if may_see else {})}
    return plain_index(request, extra_context=context)


def admin_view(view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
    """A value in an address or a form that no row can have is a bad request, wherever the admin trips over it."""
    plain = plain_view(view, cacheable)

    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            response = plain(request, *args, **kwargs)
            # Some values are read by the template alone.
            return response.render() if isinstance(response, SimpleTemplateResponse) else response
        except (ValidationError, DataError, ValueError, AttributeError) as error:
            if not is_of_a_value(error):
                raise
            logger.warning("bad value at %s: %s", request.path, error)
            raise BadRequest from error

    return update_wrapper(answered, plain)


def is_of_a_value(error: Exception) -> bool:
    return isinstance(error, ValidationError | DataError) or str(error).startswith(WORDS)


def glanced() -> dict[str, Any]:
    used = glance.last_day()
    hours = glance.by_hour(used)
    limited = list(Endpoint.objects.exclude(max_concurrency=None).select_related("model", "provider"))
    slugs = Provider.objects.exclude(max_concurrency=None).values_list("slug", flat=True)
    heard = hear([*slugs, *(line_of(one.pk) for one in limited)])
    return {
        "bars": bars(hours),
        "chart": {"width": BAR * len(hours), "height": HEIGHT},
        "day": glance.total(hours),
        "hour": hours[-1],
        "open": glance.now_open(),
        "heard": heard,
        "resting": rested(heard),
        "limited": crowded(limited, heard),
        "providers": rows(glance.by_provider(used), heard),
    }


def bars(hours: list[Sums]) -> list[Bar]:
    most = max((hour.requests for hour in hours), default=0) or 1
    return [
        Bar(hour, number * BAR + GAP // 2, HEIGHT - height, height, hour.errors * HEIGHT / most)
        for number, hour in enumerate(hours)
        for height in [hour.requests * HEIGHT / most]
    ]


def rows(by_slug: dict[str, Sums], heard: Heard | None) -> list[Row]:
    """The providers that were asked or probed, or are waited for, the busiest first."""
    uptime = Probe.objects.uptime(Probe.HALF_AN_HOUR)
    queues = heard.queues if heard else {}
    found = Provider.objects.filter(slug__in={*by_slug, *uptime, *queues})
    made = [
        Row(
            provider,
            by_slug.get(provider.slug, Sums(provider.name)),
            percent(uptime.get(provider.slug)),
            queues.get(provider.slug, Queue()) if heard and provider.max_concurrency is not None else None,
        )
        for provider in found
    ]
    return sorted(made, key=lambda row: (-row.sums.requests, row.provider.slug))


def rested(heard: Heard | None) -> list[Rested]:
    breakers = {one.endpoint: one for one in heard.resting} if heard else {}
    found = Endpoint.objects.filter(pk__in=breakers).select_related("model", "provider").order_by("model__slug", "tag")
    return [Rested(endpoint, breakers[endpoint.pk]) for endpoint in found]


def crowded(endpoints: list[Endpoint], heard: Heard | None) -> list[tuple[Endpoint, Queue]]:
    """The endpoints with a limit of their own where somebody is."""
    queues = heard.queues if heard else {}
    return [(one, queue) for one in endpoints if (queue := queues.get(line_of(one.pk), Queue())).taken or queue.waiting]


def percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
