"""The figures of bench/routing, from what clients saw and what the providers' log says."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from bench.fleet import CHUNKS, Profile

PROMPT = 12
"""Tokens of which the mock tells in each answer."""
NEXT = 20
"""Requests of which 95 % must go elsewhere, all but one."""
BUSY = 0.2
BEFORE_S = 10.0


class Sent(Struct, frozen=True):
    """A request as its client saw it; times in seconds."""

    user: str
    policy: str
    began: float
    first_token: float | None
    is_complete: bool
    said: str = ""


class Arrival(Struct, frozen=True):
    """A request as a provider saw it."""

    at: float
    provider: str
    user: str
    fails: bool


class Outage(Struct, frozen=True):
    begin: float
    until: float
    of: frozenset[str]


class Figures(Struct, frozen=True):
    requests: int
    complete: int
    lost: int
    """Without an answer although no content had been sent: another provider could have answered."""
    p50_ms: float | None
    p99_ms: float | None
    cost: float | None
    """USD for each complete request."""
    reactions: tuple[float, ...]
    """Seconds; of the outages that hit what the policy was using. Infinite: not before the outage's end."""
    misled: float | None = None


def figures(
    sent: Sequence[Sent], arrivals: Sequence[Arrival], profile: Profile, began: float, seconds: float
) -> Figures:
    """Of one policy's requests. `arrivals` are by time and may hold those of others."""
    mine = {one.user for one in sent}
    firsts, lasts = first_and_last(one for one in arrivals if one.user in mine)
    complete = [one for one in sent if one.is_complete]
    waits = [one.first_token * 1000 for one in complete if one.first_token is not None]
    costs = []
    for one in complete:
        answered = lasts[one.user]
        provider = profile.at((answered.at - began) / seconds)[answered.provider]
        costs.append(provider.cost(PROMPT, CHUNKS))
    outages = [
        Outage(began + one.begin * seconds, began + one.until * seconds, frozenset(one.of)) for one in profile.outages
    ]
    told = [reaction(list(firsts.values()), outage) for outage in outages]
    return Figures(
        requests=len(sent),
        complete=len(complete),
        lost=sum(not one.is_complete and one.first_token is None for one in sent),
        p50_ms=percentile(waits, 0.5),
        p99_ms=percentile(waits, 0.99),
        cost=sum(costs) / len(costs) if costs else None,
        reactions=tuple(one for one in told if one is not None),
        misled=misled(firsts.values(), outages),
    )


def first_and_last(arrivals: Iterable[Arrival]) -> tuple[Mapping[str, Arrival], Mapping[str, Arrival]]:
    """By request, where it went first and where last: fallbacks come between."""
    firsts: dict[str, Arrival] = {}
    lasts: dict[str, Arrival] = {}
    for one in arrivals:
        firsts.setdefault(one.user, one)
        lasts[one.user] = one
    return firsts, lasts


def reaction(firsts: Sequence[Arrival], outage: Outage) -> float | None:
    """Seconds until of the next 20 requests at most one goes first to the failing provider that was used most.

    None where none of them was busy: less than a fifth of the requests before went there.
    """
    before = [one.provider for one in firsts if outage.begin - BEFORE_S <= one.at < outage.begin]
    counts = Counter(provider for provider in before if provider in outage.of)
    if not counts or counts.most_common(1)[0][1] < BUSY * len(before):
        return None
    busiest = counts.most_common(1)[0][0]
    during = [one for one in firsts if outage.begin <= one.at < outage.until]
    hits = [one.provider == busiest for one in during]
    for place in range(len(during) - NEXT + 1):
        if sum(hits[place : place + NEXT]) <= NEXT // 20:
            return during[place].at - outage.begin
    return math.inf


def misled(firsts: Iterable[Arrival], outages: Sequence[Outage]) -> float | None:
    """Of the requests during outages, the share that went first to any provider that failed."""
    hits = [one.provider in outage.of for one in firsts for outage in outages if outage.begin <= one.at < outage.until]
    return sum(hits) / len(hits) if hits else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank."""
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)] if values else None
