"""In which order endpoints that may answer are tried (reference §4)."""

from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct

from gateway.routing.bounds import Size
from gateway.routing.live import EndpointView, Percentiles, View
from providers.canonical import ProviderPreferences
from providers.preferences import Cutoffs, SortBy
from providers.snapshot import Endpoint

# What an answer is expected to have of which nothing is known, for comparing prices only.
EXPECTED_COMPLETION = 512
MILLISECONDS = 1000
UNKNOWN = float("inf")
Key = tuple[float | str, ...]


class Ranking(Struct, frozen=True):
    """How the endpoints of one model, or of all, are put in order."""

    order: tuple[str, ...] = ()
    sort: SortBy | None = None
    tier_first: str = ""


def ranked(endpoints: Sequence[Endpoint], how: Ranking, size: Size, view: View, random: Random) -> list[Endpoint]:
    """`order` first, then a sort, else the draw by price."""
    if len(endpoints) < 2:
        return list(endpoints)
    if how.order:
        names = [name.casefold() for name in how.order]
        return by(endpoints, view, lambda one, _: (place(one, names), cost(one, size, EXPECTED_COMPLETION)))
    match how.sort:
        case None | "exacto":
            return drawn(endpoints, size, view, random)
        case "price":
            return by(endpoints, view, lambda one, seen: (price(one, size, seen),))
        case "throughput":
            first = how.tier_first
            return by(
                endpoints,
                view,
                lambda one, seen: (bool(first) and one.service_tier != first, slowness(seen), price(one, size, seen)),
            )
        case "latency":
            return by(endpoints, view, lambda one, seen: (lateness(seen), price(one, size, seen)))


def by(endpoints: Sequence[Endpoint], view: View, key: Callable[[Endpoint, EndpointView], Key]) -> list[Endpoint]:
    """Equal ones in the order of their tags, so that the same request finds the same order."""
    return sorted(endpoints, key=lambda one: (*key(one, view.of(one.id)), one.tag, one.model))


def drawn(endpoints: Sequence[Endpoint], size: Size, view: View, random: Random) -> list[Endpoint]:
    """Without replacement, each time with weight 1/price².

    What is free comes before, evenly; what the operator gave no weight or had an outage comes after.
    """
    keyed = []
    for endpoint in endpoints:
        seen = view.of(endpoint.id)
        weight = endpoint.weight
        asked = price(endpoint, size, seen)
        # Exponential races: the smallest -ln(u)/weight is a weighted draw, and sorting by it is the whole sequence.
        time = random.expovariate(1.0) * (asked * asked or 1)
        keyed.append((seen.had_outage, not weight, asked > 0, time / (weight or 1), endpoint))
    keyed.sort(key=lambda entry: entry[:4])
    return [entry[4] for entry in keyed]


def price(endpoint: Endpoint, size: Size, seen: EndpointView) -> int:
    """What this request is expected to cost there, pico-USD."""
    mean = seen.mean_completion
    return cost(endpoint, size, EXPECTED_COMPLETION if mean is None else int(mean))


def cost(endpoint: Endpoint, size: Size, completion: int) -> int:
    found = endpoint.price
    if found is None:
        return 0
    if size.output_limit is not None and size.output_limit < completion:
        completion = size.output_limit
    return size.expected_prompt * found.prompt + completion * size.answers * found.completion + (found.request or 0)


def slowness(seen: EndpointView) -> float:
    return -seen.throughput.p50 if seen.throughput else UNKNOWN


def lateness(seen: EndpointView) -> float:
    return seen.latency.p50 if seen.latency else UNKNOWN


def place(endpoint: Endpoint, names: list[str]) -> int:
    return next((index for index, name in enumerate(names) if name in endpoint.names), len(names))


def with_the_unfit_last(endpoints: list[Endpoint], preferences: ProviderPreferences, view: View) -> list[Endpoint]:
    """Those that miss a preferred figure go to the end, and those that must not be asked now behind them.

    This is across models: a fallback model may come before a slow endpoint of the first.
    """
    least = cutoffs(preferences.preferred_min_throughput)
    most = cutoffs(preferences.preferred_max_latency)
    marks = [mark(view.of(endpoint.id), least, most) for endpoint in endpoints]
    if not any(is_open or is_unfit for is_open, is_unfit in marks):
        return endpoints
    paired = sorted(zip(marks, endpoints, strict=True), key=lambda pair: pair[0])
    return [endpoint for _, endpoint in paired]


def mark(seen: EndpointView, least: Cutoffs | None, most: Cutoffs | None) -> tuple[bool, bool]:
    """Whether it is not to be asked now, and whether it misses a preference. What is not known misses nothing."""
    is_slow = least is not None and any(figure < limit for figure, limit in pairs(seen.throughput, least))
    is_late = most is not None and any(figure > limit * MILLISECONDS for figure, limit in pairs(seen.latency, most))
    return seen.is_open, is_slow or is_late


def pairs(seen: Percentiles | None, limits: Cutoffs) -> list[tuple[float, float]]:
    """Each figure that has a limit, and the limit."""
    if seen is None:
        return []
    given = ((name, getattr(limits, name)) for name in Cutoffs.__struct_fields__)
    return [(getattr(seen, name), limit) for name, limit in given if limit is not None]


def cutoffs(given: float | Cutoffs | None) -> Cutoffs | None:
    """A plain number is the median's."""
    return given if given is None or isinstance(given, Cutoffs) else Cutoffs(p50=given)
