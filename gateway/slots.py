"""Who is at a provider, and who waits for it: bounded, with a deadline, and fair between organizations.

A provider without a limit has a count and nothing else. One with a limit is a line: this process may have as many
requests there as gateway/leases.py has got for it from what all processes share.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from uuid import UUID

from gateway.routing.monitor import Monitor
from providers.errors import Kind, UpstreamError
from providers.snapshot import Provider, Snapshot

QUEUE_LENGTH = 2000
QUEUE_WAIT_S = 15.0
# So long a request waits for a provider while another one could answer it.
FALLBACK_WAIT_S = 1.0
RETRY_AFTER_S = 2.0
# What falls free is lent here for so long before it is given back: another process may wait for it.
LINGER_S = 0.1


class Full(UpstreamError):
    def __init__(self, name: str) -> None:
        super().__init__(Kind.BUSY, f"{name} is at its limit of concurrent requests", retry_after=RETRY_AFTER_S)


class Late(Full):
    """Its turn did not come in time, but it may."""


class Slot:
    """One request's place at a provider."""

    __slots__ = ("_line", "_organization")

    def __init__(self, line: "Line", organization: UUID) -> None:
        self._line: Line | None = line
        self._organization = organization

    def leave(self) -> None:
        """May be called again."""
        if self._line is not None:
            line, self._line = self._line, None
            line.leave(self._organization)


class Line:
    def __init__(self, provider: Provider, ask: "Callable[[Line, bool], None]") -> None:
        self.slug = provider.slug
        self.name = provider.name
        self.limit = provider.max_concurrency
        self.taken = 0
        self.held: dict[UUID, int] = {}
        self.waiting: OrderedDict[UUID, deque[asyncio.Future[None]]] = OrderedDict()
        self.length = 0
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

    @property
    def usable(self) -> int:
        if time.monotonic() < self.trusted_until:
            return self.leased
        return self.share if self.is_alone else 0

    def enter(self, organization: UUID) -> Slot | None:
        """None: it must wait."""
        if self.limit is not None and (self.waiting or self.taken >= self.usable):
            return None
        self._take(organization)
        return Slot(self, organization)

    async def wait(self, organization: UUID, patience: float) -> Slot:
        """Raises Full when the queue is, Late when its turn has not come within `patience` seconds."""
        if self.length >= QUEUE_LENGTH:
            self._make_room(organization)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._join(organization, turn)
        self._ask(self, organization not in self.held)
        try:
            await asyncio.wait_for(turn, patience)
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
        return Slot(self, organization)

    def leave(self, organization: UUID) -> None:
        self.taken -= 1
        if left := self.held[organization] - 1:
            self.held[organization] = left
        else:
            del self.held[organization]
        if self.limit is None:
            return
        if self.excess:
            self.excess -= 1
            self.leased -= 1
            self._ask(self, True)
        else:
            self.serve()
            if self._idle is None and self.leased > self.taken:
                self._idle = asyncio.get_running_loop().call_later(LINGER_S, self._give_back)

    def serve(self) -> None:
        """Lets in who is next, one of each organization in turn, as far as there is room."""
        while self.waiting and (self.limit is None or self.taken < self.usable):
            self.admit(next(iter(self.waiting)))

    def admit(self, organization: UUID) -> None:
        """The first of this organization goes in."""
        turn = self.waiting[organization].popleft()
        if self.waiting[organization]:
            self.waiting.move_to_end(organization)
        else:
            del self.waiting[organization]
        self.length -= 1
        self._take(organization)
        turn.set_result(None)

    def newcomers(self) -> list[UUID]:
        """Organizations that wait here and have nothing here."""
        return [organization for organization in self.waiting if organization not in self.held]

    def _give_back(self) -> None:
        self._idle = None
        if self.leased > self.taken:
            self.peak = self.taken
            self._ask(self, True)

    def _take(self, organization: UUID) -> None:
        self.taken += 1
        self.peak = max(self.peak, self.taken)
        self.held[organization] = self.held.get(organization, 0) + 1

    def _join(self, organization: UUID, turn: "asyncio.Future[None]") -> None:
        self.length += 1
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
        most = max(self.waiting, key=lambda one: len(self.waiting[one]))
        if len(self.waiting[most]) <= len(self.waiting.get(organization, ())) + 1:
            raise Full(self.name)
        turn = self.waiting[most][-1]
        self._quit(most, turn)
        turn.set_exception(Full(self.name))


class Slots:
    """All lines of this process."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.lines: dict[str, Line] = {}
        self.asked: set[Line] = set()
        self.hungry: set[Line] = set()
        """Lines that could not let in all who waited when the leases were last asked for."""
        self.news = asyncio.Event()

    async def enter(self, provider: Provider, organization: UUID, patience: float) -> Slot:
        """Raises UpstreamError (busy) when there is no place in time."""
        line = self.line(provider)
        return line.enter(organization) or await line.wait(organization, patience)

    def line(self, provider: Provider) -> Line:
        line = self.lines.get(provider.slug)
        if line is None:
            line = self.lines[provider.slug] = Line(provider, self._ask)
        return line

    def follow(self, snapshot: Snapshot) -> None:
        """The catalogue has changed: a limit holds from now on for all, those who wait included."""
        for slug, line in self.lines.items():
            provider = snapshot.providers.get(slug)
            if provider is None or provider.max_concurrency == line.limit:
                continue
            line.limit = provider.max_concurrency
            line.serve()
            self._ask(line, True)

    def _ask(self, line: Line, is_urgent: bool) -> None:
        """Who waits already is looked after every moment; what is urgent does not wait for that."""
        self.asked.add(line)
        if is_urgent or line not in self.hungry:
            self.news.set()


def is_let_in(turn: "asyncio.Future[None]") -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None
