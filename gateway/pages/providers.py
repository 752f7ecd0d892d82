"""Who answers: the list of providers, one of them, and the public status page."""

from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from msgspec import Struct

from gateway.pages import uptime
from gateway.pages.catalogue import catalogue
from gateway.pages.uptime import History
from providers.models import Incident, Uptime
from providers.snapshot import Endpoint, Model, Provider, Snapshot

RECENT = timedelta(days=30)
MOST_INCIDENTS = 50
BY_PROVIDER = "endpoint__provider__slug"


class Row(Struct, frozen=True):
    """A provider as lists show it."""

    provider: Provider
    models: int
    state: str
    day: float | None
    history: History


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    found = rows(catalogue(request))
    recent = Incident.objects.filter(opened_at__gt=timezone.now() - RECENT, provider__is_enabled=True)
    context = {
        "rows": found,
        "troubled": [row for row in found if row.state != "up"],
        "incidents": recent.select_related("provider", "endpoint__model")[:MOST_INCIDENTS],
    }
    return render(request, "pages/status.html", context)


@require_safe
def provider_list(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/providers.html", {"rows": rows(catalogue(request))})


@require_safe
def provider(request: HttpRequest, slug: str) -> HttpResponse:
    snapshot = catalogue(request)
    found = snapshot.providers.get(slug)
    if found is None:
        raise Http404
    served = endpoints_of(snapshot).get(slug, [])
    ids = [endpoint.id for _, endpoint in served]
    live, day = uptime.figures(request, ids), Uptime.objects.last_day("endpoint")
    incidents = Incident.objects.filter(provider__slug=slug, opened_at__gt=timezone.now() - RECENT)
    context = {
        "provider": found,
        "state": uptime.states([slug])[slug],
        "history": uptime.histories(BY_PROVIDER, [slug])[slug],
        "served": [(model, endpoint, live[endpoint.id], day.get(endpoint.id)) for model, endpoint in served],
        "incidents": incidents.select_related("provider", "endpoint__model")[:MOST_INCIDENTS],
    }
    return render(request, "pages/provider.html", context)


def rows(snapshot: Snapshot) -> list[Row]:
    served = endpoints_of(snapshot)
    troubled = set(Incident.objects.open().values_list("provider__slug", flat=True))
    for slug in troubled & snapshot.providers.keys():
        # It may be out of service altogether.
        served.setdefault(slug, [])
    states, day = uptime.states(served), Uptime.objects.last_day(BY_PROVIDER)
    histories = uptime.histories(BY_PROVIDER, served)
    return [
        Row(
            snapshot.providers[slug],
            len({model.slug for model, _ in found}),
            states[slug],
            day.get(slug),
            histories[slug],
        )
        for slug, found in sorted(served.items(), key=lambda pair: snapshot.providers[pair[0]].name.lower())
    ]


def endpoints_of(snapshot: Snapshot) -> dict[str, list[tuple[Model, Endpoint]]]:
    """What each provider serves at this moment, by its slug."""
    found: dict[str, list[tuple[Model, Endpoint]]] = {}
    for _, model in sorted(snapshot.models.items()):
        for endpoint in model.routable:
            found.setdefault(endpoint.provider.slug, []).append((model, endpoint))
    return found
