"""What the router knows of endpoints at this moment: read from memory, kept fresh by others."""

from typing import Protocol
from uuid import UUID

from msgspec import Struct

from providers.statistics import Percentiles as Percentiles


class EndpointView(Struct, frozen=True):
    """What the router reads of one endpoint; times in milliseconds. None is too few requests to say."""

    is_open: bool = False
    """It is not to be asked now: the breaker refuses, a rate limit cools down, or its credential is switched off."""
    had_outage: bool = False
    """In the last 30 s."""
    latency: Percentiles | None = None
    """To the first token, over 5 minutes."""
    throughput: Percentiles | None = None
    """Tokens a second, over 5 minutes."""
    mean_completion: float | None = None
    """Tokens."""
    uptime: float | None = None
    """Per cent, over 5 minutes."""
    valid_calls: float | None = None
    """The share of answers with tool calls that were all valid, 0 to 1, over 5 minutes."""


UNKNOWN = EndpointView()


class View(Protocol):
    """Asked several times for each endpoint of a request. Keys of a table are best `endpoint_id.int`: a UUID's own
    hash runs in Python."""

    def of(self, endpoint_id: UUID) -> EndpointView: ...


class NoView:
    """Nothing is known of any endpoint."""

    def of(self, endpoint_id: UUID) -> EndpointView:
        return UNKNOWN


EMPTY: View = NoView()
