"""Circuit breakers: which endpoints are not to be asked for a while, in all processes alike.

An endpoint that fails is left alone for some seconds. Then one request is let through: if it succeeds the endpoint is
back, if it fails the pause doubles. A rate limit is waited for as long as the provider says. Each process decides by
what all processes saw (gateway/routing/stats.py), and `unsent` holds what the others do not know yet.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal
from uuid import UUID

import msgspec

from gateway.routing.stats import Change
from providers.errors import FAULTS, Kind, UpstreamError

# Of the last 10 seconds, over all processes: so many faults, and no fewer than successes.
OPENS_AT = 3
OPENS_WITHIN_S = 10.0
# What is told of an endpoint so soon after it came back happened before: processes tell each other once a second.
SETTLES_S = 3.0
# In this process alone, without a success in between: need not wait for what the others saw.
STREAK = 5
PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
# What a provider that limits us without a hint is given, for each refusal in a row.
COOL_DOWN_S = 2.0
LONGEST_COOL_DOWN_S = 3600.0
OUTAGE_S = 30.0
# A fifth of the requests, or all of few.
OUTAGE_SHARE = 5
# One who was to try an endpoint and has not done so by then lets others.
TRIAL_S = 5.0


class Breaker(msgspec.Struct):
    kind: Literal["failing", "cooling"]
    opened_at: float
    """Seconds since the epoch, like `until`."""
    until: float
    pause: float
    cause: str


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Breaker).decode


class Breakers:
    def __init__(self, changed: Callable[[UUID], None]) -> None:
        self.all: dict[UUID, Breaker] = {}
        self.unsent: dict[UUID, Breaker | None] = {}
        """None: it is closed."""
        self.exempt: frozenset[UUID] = frozenset()
        self._changed = changed
        self._recent: dict[UUID, deque[tuple[float, Change]]] = {}
        self._streaks: dict[UUID, int] = {}
        self._learned: dict[UUID, float] = {}
        # When this process closed it, by the clock that processes share; and when anybody did, by its own.
        self._closed: dict[UUID, float] = {}
        self._back: dict[UUID, float] = {}
        self._trials: dict[UUID, float] = {}

    # What the router asks

    def is_open(self, endpoint: UUID) -> bool:
        found = self.all.get(endpoint)
        if found is None:
            return False
        if found.kind == "cooling":
            return time.time() < found.until
        return endpoint not in self._trials

    def had_outage(self, endpoint: UUID) -> bool:
        if endpoint in self.all:
            # The one request that tries it is to find it at its place.
            return endpoint not in self._trials
        successes, faults = self._sum(endpoint, time.monotonic() - OUTAGE_S)
        return faults > 0 and faults * OUTAGE_SHARE >= successes + faults

    # What attempts tell

    def enter(self, endpoint: UUID) -> None:
        """An attempt begins. Raises UpstreamError while a rate limit cools down."""
        found = self.all.get(endpoint)
        if found is None:
            return
        if found.kind == "failing":
            if self._trials.pop(endpoint, None):
                self._changed(endpoint)
            return
        if (wait := found.until - time.time()) > 0:
            raise UpstreamError(Kind.RATE_LIMITED, "the provider's rate limit is reached", retry_after=wait)

    def succeeded(self, endpoint: UUID, began: float) -> None:
        """`began` is by the monotonic clock: what was under way before says nothing of what is now."""
        self._streaks.pop(endpoint, None)
        if endpoint in self.all and began >= self._learned.get(endpoint, 0):
            self._close(endpoint)

    def failed(self, endpoint: UUID, error: UpstreamError, began: float) -> None:
        """`began` as in `succeeded`."""
        if endpoint in self.exempt:
            return
        if error.kind is Kind.RATE_LIMITED:
            self._cool(endpoint, error.retry_after)
        elif error.label in FAULTS and began >= self._back.get(endpoint, 0):
            self._streaks[endpoint] = streak = self._streaks.get(endpoint, 0) + 1
            found = self.all.get(endpoint)
            if found is not None and found.kind == "failing":
                if time.time() >= found.until:
                    self._open(endpoint, min(found.pause * 2, LONGEST_PAUSE_S), error.label, error.retry_after)
            elif streak >= STREAK:
                self._open(endpoint, PAUSE_S, error.label, error.retry_after)

    # What each second brings

    def saw(self, changes: Mapping[UUID, Change]) -> None:
        """What all processes saw since the last time."""
        now = time.monotonic()
        for endpoint, change in changes.items():
            if endpoint in self.exempt or not (change.successes or change.faults):
                continue
            self._recent.setdefault(endpoint, deque()).append((now, change))
            successes, faults = self._sum(endpoint, max(now - OPENS_WITHIN_S, self._back.get(endpoint, 0) + SETTLES_S))
            if change.faults and faults >= OPENS_AT and faults >= successes and endpoint not in self.all:
                self._open(endpoint, PAUSE_S, f"{faults} of {successes + faults} requests failed")
        for endpoint in list(self._recent):
            self._forget(endpoint, now)

    def hear(self, told: Mapping[UUID, Breaker]) -> None:
        """What all processes know together."""
        for endpoint in self.all.keys() - told.keys() - self.unsent.keys():
            # Another process has closed it.
            del self.all[endpoint]
            self._back[endpoint] = time.monotonic()
            self._changed(endpoint)
        for endpoint, breaker in told.items():
            if endpoint in self.unsent or endpoint in self.exempt:
                continue
            if breaker.opened_at <= self._closed.get(endpoint, 0):
                if time.monotonic() < self._back.get(endpoint, 0) + SETTLES_S:
                    # Who tells it did not know yet that it is back.
                    self.unsent[endpoint] = None
                    self._changed(endpoint)
                continue
            if self.all.get(endpoint) == breaker:
                continue
            self.all[endpoint] = breaker
            self._learned[endpoint] = time.monotonic()
            self._changed(endpoint)

    def due(self) -> list[UUID]:
        """Endpoints whose pause is over: who is chosen tries one. Rate limits are over by themselves."""
        now = time.time()
        for endpoint, began in list(self._trials.items()):
            if now > began + TRIAL_S:
                del self._trials[endpoint]
                self._changed(endpoint)
        for endpoint, breaker in list(self.all.items()):
            if breaker.kind == "cooling" and now >= breaker.until:
                self._close(endpoint, keep_streak=True)
        return [one for one, breaker in self.all.items() if now >= breaker.until and one not in self._trials]

    def try_once(self, endpoint: UUID) -> None:
        """This process was chosen: the next request that comes here may go there."""
        if endpoint in self.all:
            self._trials[endpoint] = time.time()
            self._changed(endpoint)

    def forget(self, endpoints: Iterable[UUID]) -> None:
        for endpoint in endpoints:
            self._recent.pop(endpoint, None)
            if endpoint in self.all:
                self._close(endpoint)

    def _cool(self, endpoint: UUID, hint: float | None) -> None:
        self._streaks[endpoint] = streak = self._streaks.get(endpoint, 0) + 1
        now = time.time()
        wait = min(COOL_DOWN_S * streak if hint is None else hint, LONGEST_COOL_DOWN_S)
        found = self.all.get(endpoint)
        if wait > 0 and (found is None or found.until < now + wait):
            self._set(endpoint, Breaker("cooling", now, now + wait, wait, "rate limit"))

    def _open(self, endpoint: UUID, pause: float, cause: str, hint: float | None = None) -> None:
        now = time.time()
        self._trials.pop(endpoint, None)
        pause = max(pause, min(hint or 0, LONGEST_PAUSE_S))
        self._set(endpoint, Breaker("failing", now, now + pause, pause, cause))

    def _close(self, endpoint: UUID, *, keep_streak: bool = False) -> None:
        self._closed[endpoint] = time.time()
        self._back[endpoint] = time.monotonic()
        self._trials.pop(endpoint, None)
        self._learned.pop(endpoint, None)
        if not keep_streak:
            self._streaks.pop(endpoint, None)
        del self.all[endpoint]
        self.unsent[endpoint] = None
        self._changed(endpoint)

    def _set(self, endpoint: UUID, breaker: Breaker) -> None:
        self.all[endpoint] = self.unsent[endpoint] = breaker
        self._learned[endpoint] = time.monotonic()
        self._changed(endpoint)

    def _sum(self, endpoint: UUID, since: float) -> tuple[int, int]:
        found = [change for at, change in self._recent.get(endpoint, ()) if at > since]
        return sum(change.successes for change in found), sum(change.faults for change in found)

    def _forget(self, endpoint: UUID, now: float) -> None:
        recent = self._recent[endpoint]
        while recent and recent[0][0] < now - OUTAGE_S:
            recent.popleft()
        if not recent:
            del self._recent[endpoint]
            self._changed(endpoint)
