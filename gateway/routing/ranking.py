"""In which order endpoints that may answer are tried (reference §4)."""

from collections.abc import Callable, Iterable, Sequence
from math import inf, log
from random import Random
from statistics import median

from msgspec import Struct

from gateway.routing.bounds import Size
from gateway.routing.live import UNKNOWN, EndpointView, Views
from providers.canonical import ProviderPreferences
from providers.preferences import Cutoffs, SortBy
from providers.snapshot import Endpoint

# What an answer is expected to have of which nothing is known, for comparing prices only.
EXPECTED_COMPLETION = 512.0
MILLISECONDS = 1000
UNLIMITED = UNMEASURED = inf
# Between what goes before and what comes after in the draw: the logarithm of any luck and price is below 200.
PAID, RANK, NO_WEIGHT, OUTAGE, OPEN = 1e3, 1e4, 1e5, 1e6, 1e7
LEAST_LUCK = 2.0**-53
GOOD, UNTOLD, BAD = range(3)
FEWEST_COMPARED = 4
DEVIATIONS = 1.5
SIGMA_OF_MAD = 1.4826
# Where all are nearly the same, a hair's breadth is no difference.
LEAST_DIFFERENCE = 0.02
Key = float | tuple[bool, float]
Seen = tuple[Endpoint, EndpointView]


class Ranking(Struct, frozen=True):
    """How the endpoints of one model, or of all, are put in order."""

    order: tuple[str, ...] = ()
    sort: SortBy | None = None
    puts_tiers_first: bool = False
    uses_tools: bool = False


def looked_up(endpoints: Iterable[Endpoint], views: Views) -> list[Seen]:
    get = views.get
    return [(endpoint, get(endpoint.id.int, UNKNOWN)) for endpoint in endpoints]


def ranked(found: list[Seen], how: Ranking, size: Size, random: Random) -> list[Seen]:
    """`order` first, then a sort, else the draw by price."""
    if len(found) < 2:
        return found
    if how.order:
        return by(in_order(how.order), found, size)
    match how.sort:
        case "exacto":
            return drawn(found, size, random, grades(found))
        case None:
            # Without enough to compare with, nobody can be said to be worse.
            counts = how.uses_tools and len(found) >= FEWEST_COMPARED
            return drawn(found, size, random, [grade == BAD for grade in grades(found)] if counts else None)
        case "price":
            return by(lambda one, seen: 0, found, size)
        case "throughput":
            behind = "" if how.puts_tiers_first else None
            return by(lambda one, seen: (one.service_tier == behind, slowness(seen)), found, size)
        case "latency":
            return by(lambda one, seen: lateness(seen), found, size)


def by(key: Callable[[Endpoint, EndpointView], Key], found: list[Seen], size: Size) -> list[Seen]:
    """Equal ones by price and then by tag, so that the same request finds the same order."""
    costs = prices(found, size)
    keyed = [
        (key(one, seen), cost, one.tag, one.model, index)
        for index, (cost, (one, seen)) in enumerate(zip(costs, found, strict=True))
    ]
    keyed.sort()
    return [found[entry[4]] for entry in keyed]


def in_order(names: Sequence[str]) -> Callable[[Endpoint, EndpointView], Key]:
    """The place of the first name that is the endpoint's; those without one come last."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name.casefold(), place)
    keys, last = frozenset(places), len(places)

    def key(one: Endpoint, seen: EndpointView) -> Key:
        hits = keys & one.names
        return min(map(places.__getitem__, hits)) if hits else last

    return key


def drawn(found: list[Seen], size: Size, random: Random, ranks: Sequence[int] | None = None) -> list[Seen]:
    """Without replacement, each time with weight 1/price², the lower ranks first.

    What is free comes before, evenly; what the operator gave no weight, had an outage or must not be asked comes after.
    """
    # Exponential races: the smallest -ln(u)/weight is a weighted draw, and sorting by it is the whole sequence. In
    # logarithms, so that one number says the rest, too: what goes before is further away than any luck.
    draw = random.random
    keys = [
        log(-log(1.0 - (draw() or LEAST_LUCK)) * cost * cost)
        if cost > 0
        else log(-log(1.0 - (draw() or LEAST_LUCK))) - PAID
        for cost in prices(found, size)
    ]
    for place, (endpoint, seen) in enumerate(found):
        if endpoint.weight != 1.0 or seen.is_troubled:
            keys[place] += handicap(endpoint.weight, seen)
    if ranks is not None:
        keys = [key + RANK * rank for key, rank in zip(keys, ranks, strict=True)]
    return [found[place] for place in sorted(range(len(keys)), key=keys.__getitem__)]


def handicap(weight: float, seen: EndpointView) -> float:
    return (-log(weight) if weight else NO_WEIGHT) + OUTAGE * seen.had_outage + OPEN * seen.is_open


def grades(found: list[Seen]) -> list[int]:
    """How well each calls tools: GOOD, UNTOLD or BAD.

    Bad is who errs more than 1.5 standard deviations above the median, as the median deviation estimates them.
    """
    errors = [None if seen.valid_calls is None else 1 - seen.valid_calls for _, seen in found]
    told = [error for error in errors if error is not None]
    if not told:
        return [UNTOLD] * len(found)
    middle = median(told)
    spread = SIGMA_OF_MAD * median([abs(error - middle) for error in told])
    most = middle + max(DEVIATIONS * spread, LEAST_DIFFERENCE)
    return [UNTOLD if error is None else BAD if error > most else GOOD for error in errors]


def prices(found: Iterable[Seen], size: Size) -> list[float]:
    """What this request is expected to cost at each, pico-USD."""
    prompt, answers = size.expected_prompt, size.answers
    limit = UNLIMITED if size.output_limit is None else size.output_limit
    costs = []
    for endpoint, seen in found:
        price = endpoint.price
        if price is None:
            costs.append(0.0)
            continue
        mean = seen.mean_completion
        completion = EXPECTED_COMPLETION if mean is None else mean
        completion = answers * (completion if completion < limit else limit)
        # As Price.expected does, without a call for each endpoint.
        if flat := price.flat:
            costs.append(prompt * flat[0] + completion * flat[1] + flat[2])
        else:
            costs.append(price.expected(prompt, completion))
    return costs


def slowness(seen: EndpointView) -> float:
    return -seen.throughput.p50 if seen.throughput else UNMEASURED


def lateness(seen: EndpointView) -> float:
    return seen.latency.p50 if seen.latency else UNMEASURED


def with_the_unfit_last(found: list[Seen], preferences: ProviderPreferences) -> list[Seen]:
    """Those that miss a preferred figure go to the end, and those that must not be asked now behind them.

    This is across models: a fallback model may come before a slow endpoint of the first.
    """
    least = cutoffs(preferences.preferred_min_throughput, 1)
    most = cutoffs(preferences.preferred_max_latency, MILLISECONDS)
    if not least and not most:
        return sorted(found, key=is_open) if any(map(is_open, found)) else found
    return sorted(found, key=lambda pair: (pair[1].is_open, misses(pair[1], least, most)))


def is_open(pair: Seen) -> bool:
    return pair[1].is_open


def cutoffs(given: float | Cutoffs | None, scale: int) -> list[tuple[str, float]]:
    """Percentiles and their limits; a plain number is the median's."""
    if given is None:
        return []
    if not isinstance(given, Cutoffs):
        return [("p50", given * scale)]
    limits = ((name, getattr(given, name)) for name in given.__struct_fields__)
    return [(name, limit * scale) for name, limit in limits if limit is not None]


def misses(seen: EndpointView, least: list[tuple[str, float]], most: list[tuple[str, float]]) -> bool:
    """Whether a figure is on the wrong side. What is not known misses nothing."""
    if least and seen.throughput is not None:
        for name, limit in least:
            if getattr(seen.throughput, name) < limit:
                return True
    if most and seen.latency is not None:
        for name, limit in most:
            if getattr(seen.latency, name) > limit:
                return True
    return False
