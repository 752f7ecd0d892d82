"""Which models a list shows and in which order: the query parameters of GET /models (§1.1)."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from msgspec import Struct

from gateway.errors import ApiError
from gateway.routing.live import UNKNOWN, EndpointView, Views
from providers.dollars import PICO
from providers.models import INPUT_MODALITIES, OUTPUT_MODALITIES
from providers.pricing import Price
from providers.snapshot import Endpoint, Model, Provider

MILLION = 10**6
SECONDS_A_DAY = 86_400
CATEGORIES = frozenset(
    (
        *("programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation", "legal"),
        *("finance", "health", "trivia", "academia"),
    )
)
EUROPE = frozenset(
    (
        *("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU"),
        *("MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE"),
    )
)
REGIONS = {"eu": EUROPE, "us": frozenset({"US"})}
# Measured by others; this catalogue has no such figures, and a model without a figure is below any minimum.
BENCHMARKS = ("intelligence_index", "coding_index", "agentic_index", "tool_success_rate")
Parameters = Mapping[str, str]
Keep = Callable[[Model], bool]


class Known(Struct, frozen=True):
    """What sorting may ask for beside the catalogue."""

    views: Views
    tokens: Callable[[], Mapping[str, int]]
    """Used in the last seven days, by model; asked for when it is needed."""

    def of(self, endpoint: Endpoint) -> EndpointView:
        return self.views.get(endpoint.id.int, UNKNOWN)


def select(models: Iterable[Model], asked: Parameters, known: Known) -> list[Model]:
    """Raises ApiError 400 that names the parameter."""
    keeps = filters(asked)
    found = [model for model in models if model.routable and all(keep(model) for keep in keeps)]
    found.sort(key=lambda model: (-model.released_at.timestamp(), model.slug))
    sort = asked.get("sort", "")
    if sort:
        order = SORTS.get(sort)
        if order is None:
            raise ApiError(400, f"sort: expected one of {', '.join(SORTS)}.")
        found.sort(key=lambda model: order(model, known))
    return found


def filters(asked: Parameters) -> list[Keep]:
    """Only those that were asked for, but that models which answer no text are shown on request only."""
    if asked.get("category", "programming") not in CATEGORIES:
        raise ApiError(400, f"category: expected one of {', '.join(sorted(CATEGORIES))}.")
    keeps = [outputs(asked.get("output_modalities", "text"))]
    for name, maker in FILTERS.items():
        if asked.get(name):
            keeps.append(maker(name, asked[name]))
    return keeps


def outputs(text: str) -> Keep:
    if text == "all":
        return lambda model: True
    wanted = words("output_modalities", text, OUTPUT_MODALITIES)
    return lambda model: wanted <= set(model.output_modalities)


def words(name: str, text: str, known: Iterable[str] = ()) -> set[str]:
    found = {word.strip().lower() for word in text.split(",") if word.strip()}
    if known and (unknown := found - set(known)):
        raise ApiError(400, f"{name}: {', '.join(sorted(unknown))[:100]} is none of {', '.join(known)}.")
    return found


def figure(name: str, text: str) -> Decimal:
    """A plain decimal, not negative."""
    if not text.replace(".", "", 1).isdecimal() or len(text) > 20:
        raise ApiError(400, f"{name}: expected a number of at least 0.")
    return Decimal(text)


def truth(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ApiError(400, f"{name}: expected true or false.")
    return text == "true"


def by_parameters(name: str, text: str) -> Keep:
    """All of them, at one endpoint."""
    wanted = words(name, text)
    return lambda model: any(wanted <= endpoint.supported_parameters for endpoint in model.routable)


def by_inputs(name: str, text: str) -> Keep:
    wanted = words(name, text, INPUT_MODALITIES)
    return lambda model: wanted <= set(model.input_modalities)


def by_text(name: str, text: str) -> Keep:
    wanted = text.lower().split()
    return lambda model: all(word in f"{model.slug} {model.name} {model.description}".lower() for word in wanted)


def by_context(name: str, text: str) -> Keep:
    least = figure(name, text)
    return lambda model: any(endpoint.context_length >= least for endpoint in model.routable)


def by_price(part: str, sign: int) -> Callable[[str, str], Keep]:
    """The parameter is USD per million tokens."""

    def maker(name: str, text: str) -> Keep:
        bound = figure(name, text) * PICO / MILLION
        return lambda model: sign * getattr(cheapest(model), part) <= sign * bound

    return maker


def by_architecture(name: str, text: str) -> Keep:
    return lambda model: model.tokenizer.lower() == text.lower()


def by_author(name: str, text: str) -> Keep:
    wanted = words(name, text)
    return lambda model: model.slug.partition("/")[0] in wanted


def by_provider(name: str, text: str) -> Keep:
    wanted = words(name, text)
    return of_provider(lambda found: found.slug in wanted or found.name.lower() in wanted)


def by_zdr(name: str, text: str) -> Keep:
    return of_provider(lambda found: found.is_zdr) if truth(name, text) else lambda model: True


def by_region(name: str, text: str) -> Keep:
    """Wholly there: a provider that does not say where its data centres are may be anywhere."""
    countries = REGIONS.get(text.lower())
    if countries is None:
        raise ApiError(400, f"{name}: expected {' or '.join(REGIONS)}.")
    return of_provider(lambda found: bool(found.datacenters) and countries >= set(found.datacenters))


def of_provider(fits: Callable[[Provider], bool]) -> Keep:
    return lambda model: any(fits(endpoint.provider) for endpoint in model.routable)


def by_age(sign: int) -> Callable[[str, str], Keep]:
    def maker(name: str, text: str) -> Keep:
        bound = figure(name, text) * SECONDS_A_DAY
        now = datetime.now(UTC).timestamp()
        return lambda model: sign * (now - model.released_at.timestamp()) <= sign * float(bound)

    return maker


def by_least_score(name: str, text: str) -> Keep:
    least = figure(name, text)
    return lambda model: least == 0


def by_most_score(name: str, text: str) -> Keep:
    figure(name, text)
    return lambda model: True


FILTERS: dict[str, Callable[[str, str], Keep]] = {
    "supported_parameters": by_parameters,
    "input_modalities": by_inputs,
    "q": by_text,
    "context": by_context,
    "min_price": by_price("prompt", -1),
    "max_price": by_price("prompt", 1),
    "min_output_price": by_price("completion", -1),
    "max_output_price": by_price("completion", 1),
    "arch": by_architecture,
    "model_authors": by_author,
    "providers": by_provider,
    "zdr": by_zdr,
    "region": by_region,
    "min_age_days": by_age(-1),
    "max_age_days": by_age(1),
    **{f"min_{name}": by_least_score for name in BENCHMARKS},
    **{f"max_{name}": by_most_score for name in BENCHMARKS},
}


def cheapest(model: Model) -> Price:
    return min((endpoint.price for endpoint in model.routable if endpoint.price), key=total)


def total(price: Price) -> int:
    return price.prompt + price.completion


def as_listed(model: Model, known: Known) -> float:
    return 0


def by_popularity(model: Model, known: Known) -> float:
    return -known.tokens().get(model.slug, 0)


def by_speed(model: Model, known: Known) -> float:
    return min((-seen.p50 for at in model.routable if (seen := known.of(at).throughput)), default=0)


def by_latency(model: Model, known: Known) -> float:
    return min((seen.p50 for at in model.routable if (seen := known.of(at).latency)), default=float("inf"))


# Ascending; equal ones stay newest first, and so does what nobody has measured.
SORTS: dict[str, Callable[[Model, Known], float]] = {
    "newest": as_listed,
    "most-popular": by_popularity,
    "top-weekly": by_popularity,
    "pricing-low-to-high": lambda model, known: total(cheapest(model)),
    "pricing-high-to-low": lambda model, known: -total(cheapest(model)),
    "context-high-to-low": lambda model, known: -model.context_length,
    "throughput-high-to-low": by_speed,
    "latency-low-to-high": by_latency,
    "intelligence-high-to-low": as_listed,
    "coding-high-to-low": as_listed,
    "agentic-high-to-low": as_listed,
    "design-arena-elo-high-to-low": as_listed,
}
