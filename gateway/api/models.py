"""The catalogue as this process routes by it: models, their endpoints, providers (§1.1 to §1.5)."""

from datetime import UTC
from functools import lru_cache
from time import monotonic

from django.conf import settings
from django.http import HttpResponse
from django.utils.feedgenerator import Rss201rev2Feed
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import ApiKey
from billing import usage
from gateway.api.authentication import required
from gateway.api.model_query import FILTERS, SORTS, Known
from gateway.api.offered import ABOUT, named, offered, row
from gateway.api.openapi import describe, text
from gateway.api.parameters import flag, number
from gateway.api.rows import architecture, endpoint_row, provider_row
from gateway.api.shapes.catalogue import (
    EndpointList,
    ModelCount,
    ModelList,
    OneModel,
    OneModelEndpoints,
    ProviderList,
)
from gateway.errors import ApiError
from gateway.routing.monitor import Monitor
from gateway.services import Services
from providers.models import Uptime
from providers.snapshot import Model, Snapshot

DEFAULT_LIMIT = 500
MAX_LIMIT = 1000
ROUTING_VARIANTS = frozenset({"nitro", "floor", "exacto", "online"})
POPULARITY_SECONDS = 60
QUERY = [
    text("output_modalities", "A list; `text` unless said, `all` for every model."),
    text("sort", "The order.", enum=list(SORTS)),
    text("offset", "With `limit`: where the page begins."),
    text("limit", "With `offset`: at most so many, 1000 at most."),
    *(text(name, "See the list of filters.") for name in FILTERS),
]
RSS = text("use_rss", "The list as RSS.", enum=["true", "false"])


@describe(
    "Models",
    "Lists what can be called",
    ModelList,
    query=[*QUERY, RSS],
    more={(200, "application/rss+xml"): {"type": "string"}},
    is_public=True,
)
@api_view(["GET"])
def list_models(request: Request) -> Response | HttpResponse:
    if flag(request, "use_rss"):
        # An alias is no news, nor a router.
        own = snapshot(request).models
        return feed([model for model in selected(request) if model.slug in own])
    return listed(request, selected(request))


@describe("Models", "Counts them", ModelCount, query=QUERY[:1], is_public=True)
@api_view(["GET"])
def count_models(request: Request) -> Response:
    outputs = request.query_params.get("output_modalities", "text")
    models = offered(snapshot(request), {"output_modalities": outputs}, known(monitor(request)))
    return Response({"data": {"count": len(models)}})


@describe("Models", "Lists what the key may use", ModelList, query=QUERY)
@api_view(["GET"])
def list_own_models(request: Request) -> Response:
    """What the caller's key may use."""
    required(request)
    return listed(request, selected(request))


@describe("Models", "Lists models that answer embeddings", ModelList, query=QUERY, is_public=True)
@api_view(["GET"])
def list_embedding_models(request: Request) -> Response:
    return listed(request, selected(request, output_modalities="embeddings"))


@describe("Models", "One model", OneModel, is_public=True)
@api_view(["GET"])
def one_model(request: Request, author: str, slug: str) -> Response:
    found = snapshot(request)
    model = named(found, without_routing(author, slug))
    if model is None or not model.routable:
        raise ApiError(404, f"There is no model {author}/{slug}.")
    return Response({"data": row(model, found)})


@describe("Models", "A model's endpoints", OneModelEndpoints, is_public=True)
@api_view(["GET"])
def list_endpoints(request: Request, author: str, slug: str) -> Response:
    """A routing suffix is dropped; a catalogue suffix without a row is an empty list, not an error. So is a router."""
    catalogue = snapshot(request)
    base = f"{author}/{slug.partition(':')[0]}"
    found = without_routing(author, slug)
    model = named(catalogue, found)
    if model is None and (found == base or base not in catalogue.models):
        raise ApiError(404, f"There is no model {author}/{slug}.")
    shown = model or catalogue.models[base]
    is_one = model is not None and model.slug not in ABOUT
    day = Uptime.objects.last_day("endpoint")
    return Response(
        {
            "data": {
                "id": shown.slug if model else f"{author}/{slug}",
                "name": shown.name,
                "created": int(shown.released_at.timestamp()),
                "description": shown.description,
                "architecture": architecture(shown),
                "endpoints": [
                    endpoint_row(endpoint, shown, monitor(request).figures(endpoint.id, day.get(endpoint.id)))
                    for endpoint in (shown.routable if is_one else [])
                ],
            }
        }
    )


@describe("Models", "Endpoints without data retention", EndpointList, is_public=True)
@api_view(["GET"])
def list_zdr_endpoints(request: Request) -> Response:
    """Of providers that keep nothing and learn from nothing."""
    day = Uptime.objects.last_day("endpoint")
    rows = [
        endpoint_row(endpoint, model, monitor(request).figures(endpoint.id, day.get(endpoint.id)))
        for _, model in sorted(snapshot(request).models.items())
        for endpoint in model.routable
        if endpoint.provider.is_zdr
    ]
    return Response({"data": rows})


@describe("Models", "Lists providers", ProviderList, is_public=True)
@api_view(["GET"])
def list_providers(request: Request) -> Response:
    rows = [provider_row(provider) for provider in snapshot(request).providers.values()]
    return Response({"data": sorted(rows, key=lambda found: found["slug"])})


def snapshot(request: Request) -> Snapshot:
    """At the prices of who asks."""
    services: Services = request.scope["state"]["services"]  # type: ignore[attr-defined]
    key = request.auth
    return services.customers.catalogue(key.organization_id if isinstance(key, ApiKey) else None)


def selected(request: Request, **fixed: str) -> list[Model]:
    asked = {name: request.query_params[name] for name in request.query_params}
    return offered(snapshot(request), asked | fixed, known(monitor(request)))


def listed(request: Request, models: list[Model]) -> Response:
    """Without offset and limit the whole list, as old clients expect."""
    total = len(models)
    link = None
    if "offset" in request.query_params or "limit" in request.query_params:
        offset, limit = number(request, "offset", 0, 0), number(request, "limit", DEFAULT_LIMIT, 1)
        limit = min(limit, MAX_LIMIT)
        models = models[offset : offset + limit]
        if offset + limit < total:
            following = request.query_params.copy()
            following["offset"], following["limit"] = str(offset + limit), str(limit)
            link = f"{request.path}?{following.urlencode()}"
    found = snapshot(request)
    rows = [row(model, found) for model in models]
    return Response({"data": rows, "links": {"next": link}, "total_count": total})


def monitor(request: Request) -> Monitor:
    services: Services = request.scope["state"]["services"]  # type: ignore[attr-defined]
    return services.monitor


def without_routing(author: str, slug: str) -> str:
    base, *suffixes = slug.split(":")
    return ":".join([f"{author}/{base}", *(suffix for suffix in suffixes if suffix not in ROUTING_VARIANTS)])


def known(monitor: Monitor) -> Known:
    return Known(monitor.views, lambda: popularity(int(monotonic() // POPULARITY_SECONDS)))


@lru_cache(maxsize=1)
def popularity(minute: int) -> dict[str, int]:
    """Tokens of the last week by model: asked of the database once a minute by each process."""
    return usage.tokens_by_model(days=7)


def feed(models: list[Model]) -> HttpResponse:
    """RSS 2.0, newest as the list has it."""
    home = settings.PUBLIC_URL
    rss = Rss201rev2Feed(title="Models", link=f"{home}/models", description="Models that can be called here.")
    for model in models:
        link = f"{home}/models/{model.slug}"
        rss.add_item(
            title=model.name,
            link=link,
            description=model.description,
            pubdate=model.released_at.astimezone(UTC),
            unique_id=model.slug,
            unique_id_is_permalink=False,
        )
    return HttpResponse(rss.writeString("utf-8"), content_type="application/rss+xml; charset=utf-8")
