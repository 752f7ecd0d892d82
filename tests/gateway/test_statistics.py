"""What processes count of endpoints and tell each other, slot by slot."""

from collections.abc import Iterable
from uuid import UUID, uuid4

from gateway.routing.refusals import OFF_AT, Refusals
from gateway.routing.stats import SLOT_S, Change, Statistics
from tests.endpoints import endpoint, provider

START = 1000


def at(slot: int) -> float:
    return (START + slot) * SLOT_S + 1.0


def test_an_endpoint_that_only_empty_tallies_are_left_of_is_forgotten() -> None:
    statistics, one = Statistics(at(0)), uuid4()
    statistics.tally(one).answered += 1
    statistics.pass_time(at(1))
    # Its client left in the next slot: looked up, nothing counted.
    statistics.tally(one)
    for slot in range(2, 70):
        statistics.pass_time(at(slot))
    assert (statistics.last_five(one).answered, statistics.thirty.sums) == (0, {})


def test_what_is_counted_while_a_report_is_on_its_way_is_told_with_the_next() -> None:
    here, there, one = Statistics(at(0)), Statistics(at(0)), uuid4()
    here.tally(one).answered += 1
    reports = here.reports()
    here.tally(one).answered += 2
    tell(here, there, reports)
    here.touched()
    tell(here, there, here.reports())
    assert there.last_five(one).answered == 3
    assert here.reports() == []


def tell(here: Statistics, there: Statistics, reports: Iterable[tuple[int, bytes]]) -> None:
    reports = list(reports)
    for slot, report in reports:
        there.hear(slot, here.process, report)
    here.sent(reports)


def test_late_refusals_of_an_old_key_do_not_switch_off_the_new_one() -> None:
    old = endpoint("acme", provider=provider("acme", secret="sk-old", secret_mark="old"))
    new = endpoint("acme", id=old.id, provider=provider("acme", secret="sk-new", secret_mark="new"))
    refusals = Refusals()
    refusals.follow({old.id: old}, frozenset())
    assert refused(refusals, old.id, OFF_AT - 1) == set()
    refusals.follow({new.id: new}, frozenset())
    assert refused(refusals, old.id, OFF_AT) == set()
    # Of a key that stays they count.
    again = Refusals()
    again.follow({old.id: old}, frozenset())
    again.follow({old.id: old}, frozenset())
    assert refused(again, old.id, OFF_AT) == {"acme"}


def refused(refusals: Refusals, id_: UUID, times: int = 1) -> set[str]:
    refusals.saw({id_: Change(refusals=times)})
    return set(refusals.due)
