"""What the router knows of endpoints at this moment: read from memory, kept fresh by others."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import force_setattr

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
    is_troubled: bool = False
    """Open, or with an outage."""

    def __post_init__(self) -> None:
        force_setattr(self, "is_troubled", self.is_open or self.had_outage)


UNKNOWN = EndpointView()


Views = Mapping[int, EndpointView]
"""By the number of an endpoint's id, as a UUID's own hash runs in Python. Of who is not in it nothing is known."""
EMPTY: Views = {}
