"""Live statistics: each process counts in memory, tells the others each second, and adds up what they tell.

Time is cut into slots. For each slot a process keeps one tally an endpoint and publishes all of it again and again, so
that a lost or repeated message does no harm. A slot that is over goes into the windows of 5 and 30 minutes.
"""

import secrets
from collections import deque
from collections.abc import Iterable
from uuid import UUID

import msgspec

from providers.statistics import Tally

SLOT_S = 30
# What is said of a slot may come this many slots later.
LIVE_SLOTS = 2
STATS = "turnpike:stats:{}"

Tallies = dict[UUID, Tally]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Tallies).decode


class Change(msgspec.Struct):
    """What all processes saw of an endpoint since the last look."""

    successes: int = 0
    faults: int = 0
    refusals: int = 0


class Window:
    """The sum of the last slots, kept up by adding what comes and taking away what goes."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._kept: deque[tuple[int, Tallies]] = deque()
        self.sums: Tallies = {}

    def add(self, slot: int, tallies: Tallies) -> None:
        self._kept.append((slot, tallies))
        for endpoint, tally in tallies.items():
            self.sums.setdefault(endpoint, Tally()).add(tally)

    def forget(self, now: int) -> None:
        while self._kept and self._kept[0][0] < now - self._slots:
            for endpoint, tally in self._kept.popleft()[1].items():
                # Not there: what is left are empty tallies of an endpoint that has gone already.
                if (total := self.sums.get(endpoint)) is not None:
                    total.add(tally, -1)
                    if total == NOTHING:
                        del self.sums[endpoint]


NOTHING = Tally()


class Statistics:
    def __init__(self, now: float) -> None:
        self.process = secrets.token_hex(8)
        self.slot = slot_of(now)
        self.five = Window(300 // SLOT_S)
        self.thirty = Window(1800 // SLOT_S)
        self._now: Tallies = {}
        # Of the slots that are not in the windows yet: by slot, by process
        self._live: dict[int, dict[str, Tallies]] = {self.slot: {self.process: self._now}}
        self._told: dict[tuple[int, str], bytes] = {}
        self._seen: dict[tuple[int, str, UUID], Change] = {}
        self._touched: set[UUID] = set()
        self._unsent: set[int] = set()

    def tally(self, endpoint: UUID) -> Tally:
        """To count in. It is the caller's for this moment only: slots pass."""
        self._touched.add(endpoint)
        found = self._now.get(endpoint)
        if found is None:
            found = self._now[endpoint] = Tally()
        return found

    def pass_time(self, now: float) -> None:
        """Begins a new slot when it is time, and moves those that are over into the windows."""
        slot = slot_of(now)
        if slot == self.slot:
            return
        # What was counted since the last turn belongs to the slot that ends here.
        self._unsent.add(self.slot)
        self.slot, self._now = slot, {}
        self._live.setdefault(slot, {})[self.process] = self._now
        for over in sorted(found for found in self._live if found <= slot - LIVE_SLOTS):
            self._close(over)
        for window in (self.five, self.thirty):
            self._touched.update(window.sums)
            window.forget(slot)

    def reports(self) -> list[tuple[int, bytes]]:
        """What the others are to know: this process's slots that have changed."""
        if not self._touched.isdisjoint(self._now):
            self._unsent.add(self.slot)
        self._unsent &= self._live.keys()
        return [(slot, encode(self._live[slot][self.process])) for slot in sorted(self._unsent)]

    def sent(self, reports: Iterable[tuple[int, bytes]]) -> None:
        """They have arrived; until then they are told again, and so is what was counted on their way."""
        for slot, report in reports:
            mine = self._live.get(slot, {}).get(self.process)
            if mine is None or encode(mine) == report:
                self._unsent.discard(slot)

    def hear(self, slot: int, process: str, report: bytes) -> None:
        """What a process has told of a slot; its own words are no news."""
        if process == self.process or slot < self.slot - LIVE_SLOTS + 1 or self._told.get((slot, process)) == report:
            return
        self._told[slot, process] = report
        tallies = decode(report)
        self._live.setdefault(slot, {})[process] = tallies
        self._touched.update(tallies)

    def remember(self, slot: int, reports: Iterable[bytes]) -> None:
        """A slot that was over before this process began."""
        total = added(decode(report) for report in reports)
        self.five.add(slot, total)
        self.thirty.add(slot, total)
        self._touched.update(total)

    def touched(self) -> set[UUID]:
        """The endpoints whose numbers are others than at the last call."""
        found, self._touched = self._touched, set()
        return found

    def changes(self, endpoints: Iterable[UUID]) -> dict[UUID, Change]:
        """What happened at these since the last call."""
        found: dict[UUID, Change] = {}
        for slot, by_process in self._live.items():
            for process, tallies in by_process.items():
                for endpoint in endpoints:
                    if tally := tallies.get(endpoint):
                        self._compare((slot, process, endpoint), tally, found.setdefault(endpoint, Change()))
        return found

    def last_five(self, endpoint: UUID) -> Tally:
        return self._sum(endpoint, self.five)

    def last_thirty(self, endpoint: UUID) -> Tally:
        return self._sum(endpoint, self.thirty)

    def _sum(self, endpoint: UUID, window: Window) -> Tally:
        total = Tally()
        if found := window.sums.get(endpoint):
            total.add(found)
        for by_process in self._live.values():
            for tallies in by_process.values():
                if found := tallies.get(endpoint):
                    total.add(found)
        return total

    def _compare(self, key: tuple[int, str, UUID], tally: Tally, change: Change) -> None:
        before = self._seen.get(key) or Change()
        # A broken answer was a success before: only what came since is new.
        after = Change(tally.answered, tally.faults, tally.errors.get("credential", 0))
        self._seen[key] = after
        change.successes += after.successes - before.successes
        change.faults += after.faults - before.faults
        change.refusals += after.refusals - before.refusals

    def _close(self, slot: int) -> None:
        total = added(self._live.pop(slot).values())
        self.five.add(slot, total)
        self.thirty.add(slot, total)
        self._told = {key: told for key, told in self._told.items() if key[0] != slot}
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] != slot}


def slot_of(now: float) -> int:
    return int(now // SLOT_S)


def added(tallies: Iterable[Tallies]) -> Tallies:
    total: Tallies = {}
    for found in tallies:
        for endpoint, tally in found.items():
            total.setdefault(endpoint, Tally()).add(tally)
    return total
