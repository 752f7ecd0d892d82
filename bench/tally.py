"""What a run of the load generator has seen."""

from array import array
from collections import Counter
from typing import Any

NS_PER_MS = 1_000_000


class Tally:
    """Counts over the whole run; times and rates within the window [start, end), when warming up is over."""

    def __init__(self) -> None:
        self.start_ns = 0
        self.end_ns = 0
        self.sent = 0
        self.answered = 0
        self.errors: Counter[str] = Counter()
        self.chunks = 0
        self.chunks_expected = 0
        self.disordered = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.window_answers = 0
        self.window_chunks = 0
        self.latency = array("q")
        self.first_chunk = array("q")
        self.lateness = array("q")

    def chunk_run(self, stamps: list[tuple[bytes, bytes]], now: int) -> None:
        """Content chunks that arrived together: (number, planned time) each. Late ones count by when they were due."""
        self.chunks += len(stamps)
        start, end = self.start_ns, self.end_ns
        if start <= now < end:
            self.window_chunks += len(stamps)
        for _, stamp in stamps:
            planned = int(stamp)
            if start <= planned < end:
                self.lateness.append(now - planned)

    def first(self, planned: int, now: int) -> None:
        if self.start_ns <= now < self.end_ns:
            self.first_chunk.append(now - planned)

    def answer(self, planned: int, now: int, *, by_start: bool) -> None:
        """A good answer. An open loop counts it by its planned start, so that a slow one cannot fall out at the end."""
        self.answered += 1
        if self.start_ns <= now < self.end_ns:
            self.window_answers += 1
        if self.start_ns <= (planned if by_start else now) < self.end_ns:
            self.latency.append(now - planned)

    def summary(self) -> dict[str, Any]:
        seconds = (self.end_ns - self.start_ns) / 1e9
        expected = self.chunks_expected
        return {
            "seconds": seconds,
            "sent": self.sent,
            "answered": self.answered,
            "errors": dict(self.errors),
            "requests": self.window_answers,
            "requests_per_s": round(self.window_answers / seconds, 1),
            "latency_ms": percentiles(self.latency),
            "ttft_ms": percentiles(self.first_chunk),
            "chunks": self.window_chunks,
            "chunks_per_s": round(self.window_chunks / seconds, 1),
            "chunks_received": self.chunks,
            "chunks_expected": expected,
            "delivered": round(self.chunks / expected, 6) if expected else None,
            "disordered": self.disordered,
            "lateness_ms": percentiles(self.lateness),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


def percentiles(nanoseconds: "array[int]") -> dict[str, float] | None:
    if not nanoseconds:
        return None
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    points = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[round(last * share)] / NS_PER_MS, 3) for name, share in points.items()}
