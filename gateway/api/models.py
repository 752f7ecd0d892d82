"""GET /models, /models/{author}/{slug}/endpoints, /providers: the catalogue as this process routes by it (§1)."""

from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from gateway.api.parameters import number
from gateway.api.rows import architecture, endpoint_row, model_row, provider_row
from gateway.errors import ApiError
from gateway.pipeline import Services
from providers.snapshot import EMPTY, Snapshot

DEFAULT_LIMIT = 500
MAX_LIMIT = 1000
ROUTING_VARIANTS = frozenset({"nitro", "floor", "exacto", "online"})


@api_view(["GET"])
def list_models(request: Request) -> Response:
    """Without offset and limit the whole list, as old clients expect."""
    rows = [model_row(model) for model in snapshot(request).models.values() if model.routable]
    rows.sort(key=lambda found: (-found["created"], found["id"]))
    total = len(rows)
    link = None
    if "offset" in request.query_params or "limit" in request.query_params:
        offset, limit = number(request, "offset", 0, 0), number(request, "limit", DEFAULT_LIMIT, 1)
        limit = min(limit, MAX_LIMIT)
        rows = rows[offset : offset + limit]
        if offset + limit < total:
            link = f"{request.path}?offset={offset + limit}&limit={limit}"
    return Response({"data": rows, "links": {"next": link}, "total_count": total})


@api_view(["GET"])
def list_endpoints(request: Request, author: str, slug: str) -> Response:
    """A routing suffix is dropped; a catalogue suffix without a row is an empty list, not an error."""
    base, *suffixes = slug.split(":")
    kept = [suffix for suffix in suffixes if suffix not in ROUTING_VARIANTS]
    models = snapshot(request).models
    model = models.get(":".join([f"{author}/{base}", *kept]))
    if model is None and not (kept and f"{author}/{base}" in models):
        raise ApiError(404, f"There is no model {author}/{slug}.")
    known = model or models[f"{author}/{base}"]
    return Response(
        {
            "data": {
                "id": known.slug if model else f"{author}/{slug}",
                "name": known.name,
                "created": int(known.released_at.timestamp()),
                "description": known.description,
                "architecture": architecture(known),
                "endpoints": [endpoint_row(endpoint, known) for endpoint in (model.routable if model else [])],
            }
        }
    )


@api_view(["GET"])
def list_providers(request: Request) -> Response:
    rows = [provider_row(provider) for provider in snapshot(request).providers.values()]
    return Response({"data": sorted(rows, key=lambda found: found["slug"])})


def snapshot(request: Request) -> Snapshot:
    services: Services = request.scope["state"]["services"]  # type: ignore[attr-defined]
    if services.snapshot is EMPTY:
        raise ApiError(503, "This process is starting: it has no catalogue yet. Try again.", retry_after=1)
    return services.snapshot
