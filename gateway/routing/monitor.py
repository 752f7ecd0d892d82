"""What this process has seen and heard of endpoints: counted as it happens, read by the router from memory."""

import asyncio
import time
from uuid import UUID

import msgspec

from gateway.generation import MILLISECONDS, Generation
from gateway.routing.breaker import Breakers
from gateway.routing.calls import are_valid
from gateway.routing.live import UNKNOWN, EndpointView
from gateway.routing.refusals import Refusals
from gateway.routing.stats import Statistics
from providers.errors import UpstreamError
from providers.snapshot import Endpoint, Snapshot
from providers.statistics import Percentiles, note, percentiles

LEAST_S = 0.001


class Figures(msgspec.Struct, frozen=True):
    """What is published of an endpoint: times in milliseconds, uptimes in per cent; None is too few to say."""

    status: int
    """0 is well, -1 had an outage in the last 30 s, -2 is not asked at the moment."""
    uptime_5m: float | None
    uptime_30m: float | None
    uptime_1d: float | None
    latency: dict[str, float] | None
    """Of 30 minutes, like `throughput`."""
    throughput: dict[str, float] | None


class Monitor:
    def __init__(self) -> None:
        self.statistics = Statistics(time.time())
        self.breakers = Breakers(self._changed)
        self.refusals = Refusals()
        self.news = asyncio.Event()
        """Something that the other processes should know at once."""
        self.views: dict[int, EndpointView] = {}
        """What the router reads."""

    def figures(self, endpoint: UUID, day: float | None = None) -> Figures:
        """`day`: the uptime of a day, which is not kept here."""
        view = self.views.get(endpoint.int, UNKNOWN)
        half_hour = self.statistics.last_thirty(endpoint)
        return Figures(
            status=-2 if view.is_open else -1 if view.had_outage else 0,
            uptime_5m=view.uptime,
            uptime_30m=half_hour.uptime,
            uptime_1d=day,
            latency=asdict(percentiles(half_hour.latency)),
            throughput=asdict(percentiles(half_hour.throughput)),
        )

    # What attempts tell

    def enter(self, endpoint: Endpoint) -> None:
        """An attempt begins. Raises UpstreamError when the endpoint is not to be asked, whatever else there is."""
        if self.breakers.all:
            self.breakers.enter(endpoint.id)

    def answered(self, generation: Generation, endpoint: Endpoint, began: float) -> None:
        tally = self.statistics.tally(endpoint.id)
        tally.answered += 1
        if generation.is_streamed:
            note(tally.latency, (time.monotonic() - began) * MILLISECONDS)
        self.breakers.succeeded(endpoint.id, began)

    def failed(self, endpoint: Endpoint, error: UpstreamError, began: float) -> None:
        errors = self.statistics.tally(endpoint.id).errors
        errors[error.label] = errors.get(error.label, 0) + 1
        self.breakers.failed(endpoint.id, error, began)

    def finished(self, generation: Generation, outcome: str) -> None:
        """The answer has ended, one way or the other."""
        endpoint = generation.endpoint
        if endpoint is None:
            return
        if outcome == "error" and generation.finish_reason is None:
            # The breaker learns of it from the tallies of all processes.
            tally = self.statistics.tally(endpoint.id)
            tally.broken += 1
            tally.errors["reset"] = tally.errors.get("reset", 0) + 1
        if outcome != "ok":
            return
        tally = self.statistics.tally(endpoint.id)
        seconds = max(time.monotonic() - generation.began, LEAST_S)
        completion = generation.count().completion
        note(tally.duration, seconds * MILLISECONDS)
        if completion:
            note(tally.throughput, completion / seconds)
        tally.completions += 1
        tally.tokens += completion
        if generation.calls:
            if are_valid(generation):
                tally.good_calls += 1
            else:
                tally.bad_calls += 1

    # What each second brings

    def follow(self, snapshot: Snapshot) -> None:
        """The catalogue has changed: what is new to it begins well, what has left it is forgotten."""
        endpoints = {one.id: one for model in snapshot.models.values() for one in model.endpoints}
        exempt = frozenset(id_ for id_, one in endpoints.items() if not one.provider.quirks.breaker)
        self.breakers.exempt = exempt
        self.breakers.forget(exempt)
        self.breakers.forget(self.breakers.all.keys() - endpoints.keys())
        self.refusals.follow(endpoints, exempt)
        for gone in self.views.keys() - {id_.int for id_ in endpoints}:
            del self.views[gone]

    def refresh(self) -> None:
        """Makes the views of what has changed."""
        touched = self.statistics.touched()
        changes = self.statistics.changes(touched)
        self.breakers.saw(changes)
        self.refusals.saw(changes)
        for endpoint in touched:
            self._view(endpoint)

    def _changed(self, endpoint: UUID) -> None:
        self._view(endpoint)
        if endpoint in self.breakers.unsent:
            self.news.set()

    def _view(self, endpoint: UUID) -> None:
        tally = self.statistics.last_five(endpoint)
        view = EndpointView(
            is_open=self.breakers.is_open(endpoint),
            had_outage=self.breakers.had_outage(endpoint),
            latency=percentiles(tally.latency),
            throughput=percentiles(tally.throughput),
            mean_completion=tally.mean_completion,
            uptime=tally.uptime,
            valid_calls=tally.valid_calls,
        )
        if view == UNKNOWN:
            self.views.pop(endpoint.int, None)
        else:
            self.views[endpoint.int] = view


def asdict(found: Percentiles | None) -> dict[str, float] | None:
    return msgspec.structs.asdict(found) if found else None
