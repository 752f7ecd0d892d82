"""The catalogue of the database as the file that import_catalogue reads. Keys are not in it."""

from collections.abc import Iterable, Mapping
from typing import Any

from providers.adapters import WIRES
from providers.catalogue.changes import UNSAID
from providers.catalogue.format import NO_PRICES, parse
from providers.catalogue.writing import as_yaml
from providers.dollars import dollars
from providers.models import Endpoint, Model, Price, Provider
from providers.overrides import published
from providers.rates import MILLION

HEADER = "The catalogue as it was exported. Stored API keys, weights and draining are not in it (docs/catalogue.md)."
# By the file's names, which are the columns' as well, in the order of docs/catalogue.md.
LIMITS = ("max_concurrency", "queue_length", "queue_wait_s")
PROVIDER = (
    *("slug", "name", "wire", "base_url", "api_key_env", "is_enabled", "passthrough", "quirks"),
    *LIMITS,
    *("trains_on_data", "retention_days", "headquarters", "datacenters"),
    *("privacy_policy_url", "terms_of_service_url", "status_page_url"),
)
MODEL = (
    *("slug", "name", "context_length", "input_modalities", "output_modalities", "is_enabled", "canonical_slug"),
    *("description", "tokenizer", "instruct_type", "hugging_face_id", "knowledge_cutoff", "allows_distillation"),
)
ENDPOINT = (
    *("tag", "upstream_model", "is_enabled", "context_length", "max_prompt_tokens", "max_completion_tokens"),
    *("quantization", "supported_parameters", "service_tier", "first_token_timeout_s"),
    *LIMITS,
)


def export_catalogue() -> str:
    """Raises BadCatalogue when a row cannot be said in a file."""
    providers = Provider.objects.order_by("slug")
    endpoints = Endpoint.objects.select_related("provider", "model").order_by("tag")
    of_model: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints:
        of_model.setdefault(endpoint.model_id, []).append(endpoint)
    prices = {price.endpoint_id: price for price in Price.objects.current()}
    models = [model_row(model, of_model.get(model.pk, []), prices) for model in Model.objects.order_by("slug")]
    text = as_yaml({"providers": [said(row, PROVIDER) for row in providers], "models": models}, HEADER)
    parse(text, wires=list(WIRES), providers=())
    return text


def model_row(model: Model, endpoints: Iterable[Endpoint], prices: Mapping[Any, Price]) -> dict[str, Any]:
    rows = [
        {"provider": endpoint.provider.slug, **said(endpoint, ENDPOINT), **price_of(prices.get(endpoint.pk))}
        for endpoint in endpoints
    ]
    released = {"released_at": model.released_at.date()}
    return {**said(model, MODEL), **released, **({"endpoints": rows} if rows else {})}


def said(row: Provider | Model | Endpoint, names: Iterable[str]) -> dict[str, Any]:
    """Without what the file leaves out to say the same."""
    found: dict[str, Any] = {}
    for name in names:
        value = getattr(row, name)
        if name == "is_enabled":
            if not value:
                found["enabled"] = False
        elif value not in UNSAID and (name, value) != ("passthrough", False):
            found[name] = value
    return found


def price_of(price: Price | None) -> dict[str, Any]:
    if price is None:
        return {}
    if price.is_end:
        return {"prices": NO_PRICES}
    amounts = {name: dollars(amount) for name in Price.AMOUNTS if (amount := getattr(price, name)) is not None}
    if price.discount:
        amounts["discount"] = dollars(price.discount * MILLION)
    overrides = {"overrides": published(price.overrides)} if price.overrides else {}
    return {"prices": {**amounts, **overrides, "source": price.source, "as_of": price.as_of}}
