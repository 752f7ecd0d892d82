"""What the catalogue's API says of a model, an endpoint and a provider (§1.2 to §1.5)."""

from typing import Any

from gateway.routing.monitor import Figures
from providers.dollars import dollars
from providers.pricing import Price
from providers.rates import AMOUNTS, MILLION
from providers.snapshot import Endpoint, Model, Provider

NO_DEFAULTS = dict.fromkeys(
    ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "repetition_penalty")
)


def model_row(model: Model) -> dict[str, Any]:
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


def pricing(price: Price | None) -> dict[str, Any]:
    """§1.3: amounts before the discount."""
    if price is None:
        return {}
    amounts = {name: getattr(price, name) for name in AMOUNTS}
    found: dict[str, Any] = {name: dollars(amount) for name, amount in amounts.items() if amount is not None}
    if price.discount:
        found["discount"] = price.discount / MILLION
    if price.overrides:
        found["overrides"] = [override.published() for override in price.overrides]
    return found


def total(price: Price | None) -> int:
    return price.prompt + price.completion if price else 0


def endpoint_row(endpoint: Endpoint, model: Model, figures: Figures) -> dict[str, Any]:
    """§1.4; a figure is null while too few requests say it."""
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
        "status": figures.status,
        "uptime_last_5m": figures.uptime_5m,
        "uptime_last_30m": figures.uptime_30m,
        "uptime_last_1d": figures.uptime_1d,
        "latency_last_30m": figures.latency,
        "throughput_last_30m": figures.throughput,
        "supports_implicit_caching": bool(endpoint.price and endpoint.price.input_cache_read is not None),
        "native_tools": {},
        "service_tier": endpoint.service_tier or None,
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
