"""Which endpoints may answer, in which order: a pure function of the request and the catalogue. No I/O.

Filters, then `order` or a draw weighted by 1/price² of this request, the rest behind as fallbacks (reference §4.1).
"""

from random import Random

from msgspec import Raw

from gateway.errors import ApiError
from gateway.routing.bounds import EXPECTED_COMPLETION, Size
from providers.canonical import ChatRequest, ProviderPreferences
from providers.snapshot import Endpoint, Model, Snapshot

NULL = Raw(b"null")
NO_PREFERENCES = ProviderPreferences()


def plan(chat: ChatRequest, snapshot: Snapshot, size: Size, random: Random) -> list[Endpoint]:
    """The candidates in the order in which they are tried. Raises ApiError 400 or 404 when there is none."""
    preferences = chat.provider or NO_PREFERENCES
    refuse_unknown_filters(preferences)
    models = [known(slug, snapshot) for slug in chat.candidates]
    candidates = [
        endpoint
        for model in models
        for endpoint in ordered(fitting(allowed(model.routable, preferences), size), preferences, size, random)
    ]
    if not candidates:
        raise nothing_left(models, preferences)
    if preferences.allow_fallbacks is False and not preferences.order:
        return candidates[:1]
    return candidates


def refuse_unknown_filters(preferences: ProviderPreferences) -> None:
    asked = {
        "data_collection": preferences.data_collection == "deny",
        "zdr": preferences.zdr,
        "require_parameters": preferences.require_parameters,
        "enforce_distillable_text": preferences.enforce_distillable_text,
        "quantizations": preferences.quantizations,
        "max_price": preferences.max_price not in (None, NULL),
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise ApiError(400, f"provider.{name}: this filter is not supported yet, and ignoring it could harm you.")


def known(slug: str, snapshot: Snapshot) -> Model:
    model = snapshot.models.get(slug)
    if model is None:
        raise unavailable(400, "model_not_found", [slug], f"{slug} is not a valid model ID")
    return model


def allowed(endpoints: list[Endpoint], preferences: ProviderPreferences) -> list[Endpoint]:
    kept = endpoints
    if preferences.only is not None:
        kept = [endpoint for endpoint in kept if named(endpoint, preferences.only)]
    if preferences.ignore:
        kept = [endpoint for endpoint in kept if not named(endpoint, preferences.ignore)]
    if preferences.order and preferences.allow_fallbacks is False:
        kept = [endpoint for endpoint in kept if named(endpoint, preferences.order)]
    return kept


def fitting(endpoints: list[Endpoint], size: Size) -> list[Endpoint]:
    """Some endpoints' prices hold up to a size of the prompt only."""
    return [found for found in endpoints if size.expected_prompt <= (found.max_prompt_tokens or size.expected_prompt)]


def ordered(endpoints: list[Endpoint], preferences: ProviderPreferences, size: Size, random: Random) -> list[Endpoint]:
    drawn = draw(endpoints, size, random)
    if not preferences.order:
        return drawn
    # Stable: those named by the same entry stay as drawn, those not named come last.
    return sorted(drawn, key=lambda endpoint: place(endpoint, preferences.order or []))


def draw(endpoints: list[Endpoint], size: Size, random: Random) -> list[Endpoint]:
    """Without replacement, each time with weight 1/price²; what is free comes first, evenly."""
    if len(endpoints) < 2:
        return endpoints
    # Exponential races: the smallest -ln(u)/weight is a weighted draw, and sorting by it is the whole sequence.
    keyed = []
    for endpoint in endpoints:
        price = price_of(endpoint, size)
        keyed.append((price > 0, random.expovariate(1.0) * (price * price or 1), endpoint))
    return [endpoint for _, _, endpoint in sorted(keyed, key=lambda entry: entry[:2])]


def price_of(endpoint: Endpoint, size: Size) -> int:
    """What this request is expected to cost there, pico-USD."""
    if endpoint.price is None:
        return 0
    completion = min(size.output_limit or EXPECTED_COMPLETION, EXPECTED_COMPLETION) * size.answers
    return size.prompt * endpoint.price.prompt + completion * endpoint.price.completion + (endpoint.price.request or 0)


def named(endpoint: Endpoint, names: list[str]) -> bool:
    return any(matches(endpoint, name) for name in names)


def matches(endpoint: Endpoint, name: str) -> bool:
    """A base slug is every variant of that provider, a full tag one endpoint; display names do too. Case is nothing."""
    wanted = name.casefold()
    tag = endpoint.tag.casefold()
    return wanted in (tag, endpoint.provider.slug, endpoint.provider.name.casefold()) or tag.startswith(f"{wanted}/")


def place(endpoint: Endpoint, names: list[str]) -> int:
    return next((index for index, name in enumerate(names) if matches(endpoint, name)), len(names))


def nothing_left(models: list[Model], preferences: ProviderPreferences) -> ApiError:
    slugs = [model.slug for model in models]
    if any(allowed(model.routable, preferences) for model in models):
        message = "The prompt is too long for every endpoint of the selected model."
        return unavailable(404, "constraint_filtered", slugs, message, excluded_by="context_length")
    if any(model.routable for model in models):
        used = " and ".join(f"provider.{name}" for name in ("only", "ignore", "order") if getattr(preferences, name))
        message = (
            "No allowed providers are available for the selected model: "
            f"{used} left none of {', '.join(available(models))}."
        )
        return unavailable(404, "constraint_filtered", slugs, message, excluded_by="allowed_providers")
    return unavailable(404, "no_endpoints", slugs, f"No endpoints found for {', '.join(slugs)}.")


def unavailable(status: int, code: str, slugs: list[str], message: str, *, excluded_by: str = "") -> ApiError:
    """`error.availability` (§3.5): what machines read of why there is no endpoint."""
    availability = {"code": code, "retryable": False, "requested_models": slugs, "docs_url": ""}
    return ApiError(
        status, message, availability=availability | ({"excluded_by": [excluded_by]} if excluded_by else {})
    )


def available(models: list[Model]) -> list[str]:
    return sorted({endpoint.tag for model in models for endpoint in model.routable})
