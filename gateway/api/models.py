"""GET /models, /models/{author}/{slug}/endpoints, /providers: the catalogue as this process routes by it (§1)."""

from typing import Any

from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from gateway.errors import ApiError
from gateway.pipeline import Services
from providers.pricing import Price, dollars
from providers.snapshot import EMPTY, Endpoint, Model, Provider, Snapshot

DEFAULT_LIMIT = 500
MAX_LIMIT = 1000
ROUTING_VARIANTS = frozenset({"nitro", "floor", "exacto", "online"})
NO_DEFAULTS = dict.fromkeys(
    ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "repetition_penalty")
)


@api_view(["GET"])
def list_models(request: Request) -> Response:
    """Without offset and limit the whole list, as old clients expect."""
    rows = [row(model) for model in snapshot(request).models.values() if model.routable]
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


def number(request: Request, name: str, default: int, least: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise ApiError(400, f"{name}: expected a whole number of at least {least}.")
    return int(text)


def row(model: Model) -> dict[str, Any]:
    """The strict clients' thirteen required keys and what we know beside them (§1.2)."""
    cheapest = min(model.routable, key=lambda endpoint: total(endpoint.price))
    found: dict[str, Any] = {
        "id": model.slug,
        "canonical_slug": model.canonical_slug,
        "hugging_face_id": model.hugging_face_id or None,
        "name": model.name,
        "created": int(model.released_at.timestamp()),
        "description": model.description,
        "context_length": model.context_length,
        "architecture": architecture(model),
        "pricing": pricing(cheapest.price),
        "top_provider": {
            "is_moderated": False,
            "context_length": cheapest.context_length,
            "max_completion_tokens": cheapest.max_completion_tokens,
        },
        "per_request_limits": None,
        "supported_parameters": sorted({name for endpoint in model.routable for name in endpoint.supported_parameters}),
        "default_parameters": NO_DEFAULTS,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{model.slug}/endpoints"},
    }
    if model.knowledge_cutoff is not None:
        found["knowledge_cutoff"] = model.knowledge_cutoff.isoformat()
    return found


def architecture(model: Model) -> dict[str, Any]:
    return {
        "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
        "input_modalities": model.input_modalities,
        "output_modalities": model.output_modalities,
        "tokenizer": model.tokenizer,
        "instruct_type": model.instruct_type or None,
    }


def pricing(price: Price | None) -> dict[str, str]:
    if price is None:
        return {}
    amounts = {name: getattr(price, name) for name in price.__struct_fields__ if name != "id"}
    return {name: dollars(amount) for name, amount in amounts.items() if amount is not None}


def total(price: Price | None) -> int:
    return price.prompt + price.completion if price else 0


def endpoint_row(endpoint: Endpoint, model: Model) -> dict[str, Any]:
    """§1.4; nothing is measured yet that the percentages and percentiles could say, so they are null."""
    choices = endpoint.supported_parameters
    return {
        "name": f"{endpoint.provider.name} | {model.slug}",
        "model_id": model.slug,
        "model_name": model.name,
        "context_length": endpoint.context_length,
        "pricing": pricing(endpoint.price),
        "provider_name": endpoint.provider.name,
        "tag": endpoint.tag,
        "quantization": endpoint.quantization,
        "max_completion_tokens": endpoint.max_completion_tokens,
        "max_prompt_tokens": endpoint.max_prompt_tokens,
        "supported_parameters": sorted(choices),
        "status": 0,
        "uptime_last_5m": None,
        "uptime_last_30m": None,
        "uptime_last_1d": None,
        "latency_last_30m": None,
        "throughput_last_30m": None,
        "supports_implicit_caching": bool(endpoint.price and endpoint.price.input_cache_read is not None),
        "native_tools": {},
        "service_tier": None,
        "supports_diarization": False,
        "supports_tool_choice": dict.fromkeys(("auto", "function", "none", "required"), "tool_choice" in choices),
    }


def provider_row(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "slug": provider.slug,
        "privacy_policy_url": provider.privacy_policy_url or None,
        "terms_of_service_url": provider.terms_of_service_url or None,
        "status_page_url": provider.status_page_url or None,
        "headquarters": provider.headquarters or None,
        "datacenters": list(provider.datacenters) or None,
    }
