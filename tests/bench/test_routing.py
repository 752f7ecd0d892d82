"""The arithmetic of bench/routing and the fleet's profile; no process, no time."""

import math
from typing import Any

import pytest

from bench.figures import Arrival, Figures, Outage, Sent, figures, misled, percentile, reaction
from bench.fleet import CHUNKS, Change, Profile, Provider, catalogue, read_profile
from bench.routing import flaws

OUTAGE = Outage(begin=100.0, until=130.0, of=frozenset({"a"}))


def went(*places: tuple[float, str]) -> list[Arrival]:
    return [Arrival(at, provider, f"u{at}", fails=False) for at, provider in places]


def each(begin: float, until: float, provider: str, step: float = 0.5) -> list[Arrival]:
    return went(*((begin + n * step, provider) for n in range(int((until - begin) / step))))


def provider(slug: str, **fields: Any) -> Provider:
    values = {"price": 2.0, "first_token_ms": 100, "spread": 0, "tokens_per_s": 100, "errors": 0, "status": 503}
    return Provider(slug=slug, **values | fields)


def test_reaction_is_when_the_requests_begin_to_go_elsewhere() -> None:
    assert reaction([*each(90, 103, "a"), *each(103, 130, "b")], OUTAGE) == 2.5  # one in 20 may still go there
    assert reaction([*each(90, 100, "a"), *each(100, 130, "b")], OUTAGE) == 0


def test_a_probe_now_and_then_is_no_relapse_but_one_in_ten_is() -> None:
    probing = went(*((103 + n / 2, "a" if n % 25 == 24 else "b") for n in range(54)))
    assert reaction([*each(90, 103, "a"), *probing], OUTAGE) == 2.5
    often = went(*((103 + n / 2, "a" if n % 10 == 0 else "b") for n in range(54)))
    assert reaction([*each(90, 103, "a"), *often], OUTAGE) == math.inf


def test_who_never_turns_away_never_reacts() -> None:
    assert reaction(each(90, 140, "a"), OUTAGE) == math.inf
    # What goes elsewhere after the outage proves nothing, nor does too little before its end.
    assert reaction([*each(90, 125, "a"), *each(125, 200, "b")], OUTAGE) == math.inf


def test_an_outage_of_what_was_hardly_used_measures_nothing() -> None:
    assert reaction(each(90, 130, "b"), OUTAGE) is None
    assert reaction([], OUTAGE) is None
    assert reaction([*each(90, 98, "b"), *each(98, 130, "a")], OUTAGE) == math.inf


def test_the_busiest_of_those_that_fail_is_watched_and_all_of_them_are_counted() -> None:
    both = Outage(begin=100.0, until=130.0, of=frozenset({"a", "c"}))
    firsts = [*each(90, 100, "a"), *each(100, 110, "c"), *each(110, 130, "b"), *each(130, 140, "a")]
    assert reaction(firsts, both) == 0
    assert misled(firsts, [both]) == pytest.approx(1 / 3)
    assert misled(firsts, []) is None
    spread = [one for place in range(20) for one in each(90 + place * 2, 92 + place * 2, "acbdefgh"[place % 8])]
    assert reaction(spread, Outage(begin=120.0, until=130.0, of=frozenset({"zz"}))) is None


def test_percentiles_are_by_the_nearest_rank() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7], 0.99) == 7
    assert (percentile(range(1, 101), 0.5), percentile(range(1, 101), 0.99)) == (50, 99)
    assert percentile([3, 1, 2], 0.5) == 2


def test_a_request_costs_what_the_last_that_was_asked_takes_then() -> None:
    profile = Profile(
        providers=(provider("a", price=2.0), provider("b", price=4.0)),
        changes=(Change(begin=0.5, until=1.0, of=("b",), set={"price": 8.0}),),
    )
    sent = [
        Sent("u1", "p", 1000, 0.1, is_complete=True),
        Sent("u2", "p", 1060, 0.3, is_complete=True),
        Sent("u3", "p", 1061, None, is_complete=False),
        Sent("u4", "p", 1062, 0.2, is_complete=False),
    ]
    arrivals = [
        Arrival(1001, "a", "u1", fails=False),
        Arrival(1060, "a", "u2", fails=True),
        Arrival(1060, "a", "another's", fails=False),
        Arrival(1061, "b", "u2", fails=False),
    ]
    found = figures(sent, arrivals, profile, began=1000, seconds=100)
    # Prompts cost a quarter of the completion's price: 12 tokens as much as 3.
    assert found.cost == pytest.approx((2e-6 + 8e-6) * (CHUNKS + 3) / 2)
    assert (found.requests, found.complete, found.lost) == (4, 2, 1)  # u4 had content
    assert (found.p50_ms, found.p99_ms) == (100, 300)
    assert found.reactions == ()


@pytest.mark.parametrize(
    ("lost", "complete", "reactions", "is_well"),
    [(0, 9, (4.9,), True), (1, 9, (1.0,), False), (0, 9, (1.0, 5.1), False), (0, 9, (), False), (0, 0, (1.0,), False)],
)
def test_only_turnpike_is_judged(lost: int, complete: int, reactions: tuple[float, ...], is_well: bool) -> None:
    one = Figures(9, complete, lost, 1.0, 1.0, 1.0, reactions)
    assert (not flaws({"turnpike price": one})) is is_well
    assert not flaws({"random": one})


def test_the_profile_is_whole() -> None:
    profile = read_profile()
    slugs = {one.slug for one in profile.providers}
    assert len(slugs) == len(profile.providers) == 20
    assert all(set(change.of) <= slugs and 0 <= change.begin < change.until <= 1 for change in profile.changes)
    for outage in profile.outages:
        during = profile.at(outage.begin)
        assert {slug for slug, one in during.items() if one.errors == 1} == set(outage.of)
        assert min(during.values(), key=lambda one: one.price).slug in outage.of
    assert profile.at(0)["p01"].price != profile.at(profile.price_changes[0])["p01"].price
    assert len(catalogue(profile.providers, 1)["models"][0]["endpoints"]) == 20
