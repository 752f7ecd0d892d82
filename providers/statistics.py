"""What is counted of an endpoint's answers, in numbers that add up over processes and time."""

import math
from typing import Any

from msgspec import Struct, field

from providers.errors import FAULTS

# Each bucket begins a tenth above the one before: a percentile is right to about 5 %.
GROWTH = 1.1
SCALE = 1 / math.log(GROWTH)
# Fewer than this say nothing.
LEAST = 3

Histogram = dict[int, int]


class Percentiles(Struct, frozen=True):
    p50: float
    p75: float
    p90: float
    p99: float


class Tally(Struct, array_like=True):
    """Of one endpoint in one span of time."""

    answered: int = 0
    """Attempts that gave something of an answer."""
    broken: int = 0
    """Of these, how many broke off later; they are among the errors, too."""
    errors: dict[str, int] = field(default_factory=dict)
    """By label (providers/errors.py)."""
    latency: Histogram = field(default_factory=dict)
    """Milliseconds from the attempt to the first token; of streams, as no other answer shows it."""
    duration: Histogram = field(default_factory=dict)
    """Milliseconds from the attempt to the end."""
    throughput: Histogram = field(default_factory=dict)
    """Tokens a second from the attempt to the end."""
    completions: int = 0
    tokens: int = 0
    """Of all completions."""
    good_calls: int = 0
    """Answers with tool calls that were all valid."""
    bad_calls: int = 0

    def add(self, other: "Tally", sign: int = 1) -> None:
        self.answered += sign * other.answered
        self.broken += sign * other.broken
        self.completions += sign * other.completions
        self.tokens += sign * other.tokens
        self.good_calls += sign * other.good_calls
        self.bad_calls += sign * other.bad_calls
        merge(self.errors, other.errors, sign)
        merge(self.latency, other.latency, sign)
        merge(self.duration, other.duration, sign)
        merge(self.throughput, other.throughput, sign)

    @property
    def successes(self) -> int:
        # The break may fall into a later span than the answer.
        return max(self.answered - self.broken, 0)

    @property
    def faults(self) -> int:
        """Errors that are the provider's; its rate limits are not, nor what is wrong with a request."""
        return sum(count for label, count in self.errors.items() if label in FAULTS)

    @property
    def uptime(self) -> float | None:
        """Per cent."""
        return uptime(self.successes, self.faults)

    @property
    def mean_completion(self) -> float | None:
        return self.tokens / self.completions if self.completions >= LEAST else None

    @property
    def valid_calls(self) -> float | None:
        """The share of answers with tool calls that were all valid, 0 to 1."""
        total = self.good_calls + self.bad_calls
        return self.good_calls / total if total >= LEAST else None


def uptime(successes: int, faults: int) -> float | None:
    """Per cent."""
    total = successes + faults
    return 100 * successes / total if total >= LEAST else None


def merge(into: dict[Any, int], other: dict[Any, int], sign: int = 1) -> None:
    for key, count in other.items():
        if total := into.get(key, 0) + sign * count:
            into[key] = total
        else:
            into.pop(key, None)


def note(histogram: Histogram, value: float) -> None:
    bucket = int(math.log(value) * SCALE) if value > 1 else 0
    histogram[bucket] = histogram.get(bucket, 0) + 1


def summed(histogram: Histogram) -> tuple[int, int]:
    """How many values, and their sum to about 5 %."""
    return sum(histogram.values()), round(sum(GROWTH ** (bucket + 0.5) * count for bucket, count in histogram.items()))


def percentiles(histogram: Histogram) -> Percentiles | None:
    total = sum(histogram.values())
    if total < LEAST:
        return None
    wanted = [math.ceil(total * share) for share in (0.5, 0.75, 0.9, 0.99)]
    found: list[float] = []
    below = 0
    for bucket in sorted(histogram):
        below += histogram[bucket]
        while len(found) < len(wanted) and below >= wanted[len(found)]:
            found.append(round(GROWTH ** (bucket + 0.5), 1))
    return Percentiles(*found)
