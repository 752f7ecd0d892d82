"""Who is at a provider and its endpoint, and who waits for them: bounded, with a deadline, fair between organizations.

What has a limit is a line: this process may have as many requests there as gateway/leases.py has got for it from what
all processes share. What has none costs nothing.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from math import inf
from uuid import UUID

from django.conf import settings

from gateway.routing.monitor import Monitor
from providers.errors import Kind, UpstreamError
from providers.snapshot import Endpoint, Provider, Snapshot

# So long a request waits while another endpoint could answer it.
FALLBACK_WAIT_S = 1.0
# Who may not wait waits for this long to be told so.
ANSWER_WAIT_S = 1.0
RETRY_AFTER_S = 2.0
# What falls free is lent here for so long before it is given back: another process may wait for it.
LINGER_S = 0.1


class Full(UpstreamError):
    def __init__(self, name: str) -> None:
        super().__init__(Kind.BUSY, f"{name} is at its limit of concurrent requests", retry_after=RETRY_AFTER_S)


class Late(Full):
    """Its turn did not come in time, but it may."""


class Slot:
    """One request's place at an endpoint and its provider."""

    __slots__ = ("_all", "endpoint", "lines", "organization")

    def __init__(self, endpoint: Endpoint, organization: UUID, all_slots: "set[Slot]") -> None:
        self.endpoint = endpoint
        self.organization = organization
        self.lines: list[Line] = []
        self._all = all_slots

    def leave(self) -> None:
        """May be called again."""
        self._all.discard(self)
        while self.lines:
            self.lines.pop().leave(self.organization)


class Line:
    limit: int | None
    queue_length: int
    queue_wait_s: float

    def __init__(self, key: str, limited: Provider | Endpoint, ask: "Callable[[Line, bool], None]") -> None:
        self.key = key
        self.name = limited.name if isinstance(limited, Provider) else f"{limited.model} at {limited.provider.name}"
        self.taken = 0
        self.held: dict[UUID, int] = {}
        self.waiting: OrderedDict[UUID, deque[asyncio.Future[None]]] = OrderedDict()
        self.length = 0
        self.untold = 0
        """At most so many have come since the leases were last asked for."""
        # What gateway/leases.py says
        self.leased = 0
        self.excess = 0
        """So many leases are to be given back as they fall free."""
        self.trusted_until = 0.0
        self.share = 1
        """What it may have when it is alone."""
        self.is_alone = False
        """Nobody can be asked."""
        self.peak = 0
        self._idle: asyncio.TimerHandle | None = None
        self._ask = ask
        self.follow(limited)

    def follow(self, limited: Provider | Endpoint) -> None:
        self.limit = limited.max_concurrency
        length, wait = limited.queue_length, limited.queue_wait_s
        self.queue_length = settings.QUEUE_LENGTH if length is None else length
        self.queue_wait_s = settings.QUEUE_WAIT_S if wait is None else wait
        if not self.queue_length or not self.queue_wait_s:
            self.queue_length, self.queue_wait_s = 0, ANSWER_WAIT_S

    @property
    def usable(self) -> int:
        if time.monotonic() < self.trusted_until:
            return self.leased
        return self.share if self.is_alone else 0

    def enter(self, organization: UUID) -> bool:
        """False: it must wait."""
        if self.limit is not None and (self.waiting or self.taken >= self.usable):
            return False
        self.take(organization)
        return True

    async def wait(self, organization: UUID, patience: float) -> None:
        """Raises Full when the queue is, Late when its turn has not come within `patience` seconds."""
        if self.length >= self.queue_length + max((self.limit or 0) - self.taken, 0):
            self._make_room(organization)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._join(organization, turn)
        self._ask(self, organization not in self.held)
        try:
            async with asyncio.timeout(patience):
                await turn
        except TimeoutError:
            # Its turn may have come in the same moment.
            if not is_let_in(turn):
                raise Late(self.name) from None
        except asyncio.CancelledError:
            if is_let_in(turn):
                self.leave(organization)
            raise
        finally:
            self._quit(organization, turn)

    def leave(self, organization: UUID) -> None:
        self.taken -= 1
        if left := self.held[organization] - 1:
            self.held[organization] = left
        else:
            del self.held[organization]
        if self.limit is None:
            return
        self.return_excess()
        self.serve()
        if self._idle is None and self.leased > self.taken:
            self._idle = asyncio.get_running_loop().call_later(LINGER_S, self._give_back)

    def return_excess(self) -> None:
        """What nobody has, of what is to be given back, is not lent again."""
        free = min(self.excess, self.leased - self.taken)
        if free > 0:
            self.excess -= free
            self.leased -= free
            self._ask(self, True)

    def serve(self) -> None:
        """Lets in who is next, one of each organization in turn, as far as there is room."""
        while self.waiting and (self.limit is None or self.taken < self.usable):
            self.admit(next(iter(self.waiting)))

    def turn_away(self) -> None:
        """Those for whom the queue is too short, now that it is known how many get in of those that were asked for."""
        while self.length > self.queue_length + self.untold:
            self._drop(self._longest())

    def admit(self, organization: UUID) -> None:
        """The first of this organization goes in, unless it gave up a moment ago."""
        turn = self.waiting[organization].popleft()
        if self.waiting[organization]:
            self.waiting.move_to_end(organization)
        else:
            del self.waiting[organization]
        self.length -= 1
        if not turn.done():
            self.take(organization)
            turn.set_result(None)

    def newcomers(self) -> list[UUID]:
        """Organizations that wait here and have nothing here."""
        return [organization for organization in self.waiting if organization not in self.held]

    def _give_back(self) -> None:
        self._idle = None
        if self.leased > self.taken:
            self.peak = self.taken
            self._ask(self, True)

    def take(self, organization: UUID) -> None:
        self.taken += 1
        self.peak = max(self.peak, self.taken)
        self.held[organization] = self.held.get(organization, 0) + 1

    def _join(self, organization: UUID, turn: "asyncio.Future[None]") -> None:
        self.length += 1
        self.untold += 1
        if organization in self.waiting:
            self.waiting[organization].append(turn)
            return
        self.waiting[organization] = deque([turn])
        if organization not in self.held:
            self.waiting.move_to_end(organization, last=False)

    def _quit(self, organization: UUID, turn: "asyncio.Future[None]") -> None:
        """Takes out who was not let in."""
        turns = self.waiting.get(organization)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        self.length -= 1
        if not turns:
            del self.waiting[organization]

    def _make_room(self, organization: UUID) -> None:
        """The newest of who has most in a full queue gives way, unless that is who comes. Raises Full."""
        if not self.waiting:
            raise Full(self.name)
        most = self._longest()
        if len(self.waiting[most]) <= len(self.waiting.get(organization, ())) + 1:
            raise Full(self.name)
        self._drop(most)

    def _longest(self) -> UUID:
        return max(self.waiting, key=lambda one: len(self.waiting[one]))

    def _drop(self, organization: UUID) -> None:
        turns = self.waiting[organization]
        turn = turns.pop()
        if not turns:
            del self.waiting[organization]
        self.length -= 1
        if not turn.done():
            turn.set_exception(Full(self.name))


class Slots:
    """All places and lines of this process."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.lines: dict[str | int, Line] = {}
        """Of what has a limit, or had one: by a provider's slug, or the number of an endpoint's id."""
        self.asked: set[Line] = set()
        self.hungry: set[Line] = set()
        """Lines that could not let in all who waited when the leases were last asked for."""
        self.news = asyncio.Event()
        self._taken: set[Slot] = set()

    async def enter(self, endpoint: Endpoint, organization: UUID, patience: float = inf) -> Slot:
        """Raises UpstreamError (busy) when there is no place in time, which is `patience` seconds at most."""
        slot = Slot(endpoint, organization, self._taken)
        if self.lines:
            await self._wait(slot, patience)
        self._taken.add(slot)
        return slot

    async def _wait(self, slot: Slot, patience: float) -> None:
        """For the endpoint first: a place at the provider, of which others have need, is taken to be used."""
        began = time.monotonic()
        try:
            for key in keys(slot.endpoint):
                line = self.lines.get(key)
                if line is None:
                    continue
                if not line.enter(slot.organization):
                    left = min(patience, line.queue_wait_s) - (time.monotonic() - began)
                    await line.wait(slot.organization, max(left, 0))
                slot.lines.append(line)
            self._join_new_lines(slot)
        except BaseException:
            slot.leave()
            raise

    def follow(self, snapshot: Snapshot) -> None:
        """The catalogue has changed: a limit holds from now on for all, those who wait included."""
        found = dict(limited(snapshot))
        for key in self.lines.keys() & found.keys():
            line = self.lines[key]
            before = line.limit, line.queue_length
            line.follow(found[key])
            if (line.limit, line.queue_length) != before:
                line.serve()
                self._ask(line, True)
                line.turn_away()
        new = [key for key, one in found.items() if one.max_concurrency is not None and key not in self.lines]
        for key in new:
            one = found[key]
            self.lines[key] = Line(one.slug if isinstance(one, Provider) else line_of(one.id), one, self._ask)
        for slot in self._taken if new else ():
            self._join_new_lines(slot)
        for key in new:
            # The other processes are to know of those that are there already.
            if self.lines[key].taken:
                self._ask(self.lines[key], True)

    def _join_new_lines(self, slot: Slot) -> None:
        """Limits that came while it was under way or waited count it, too."""
        for key in keys(slot.endpoint):
            line = self.lines.get(key)
            if line is not None and line not in slot.lines:
                line.take(slot.organization)
                slot.lines.append(line)

    def _ask(self, line: Line, is_urgent: bool) -> None:
        """Who waits already is looked after every moment; what is urgent does not wait for that."""
        self.asked.add(line)
        if is_urgent or line not in self.hungry:
            self.news.set()


def is_let_in(turn: "asyncio.Future[None]") -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None


def keys(endpoint: Endpoint) -> tuple[int, str]:
    return endpoint.id.int, endpoint.provider.slug


def line_of(endpoint: UUID) -> str:
    """Its name between processes; a provider's is its slug."""
    return f"endpoint:{endpoint}"


def limited(snapshot: Snapshot) -> Iterator[tuple[str | int, Provider | Endpoint]]:
    yield from snapshot.providers.items()
    for model in snapshot.models.values():
        for endpoint in model.endpoints:
            yield endpoint.id.int, endpoint
