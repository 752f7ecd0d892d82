"""What is measured, and what it must reach."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

SKINS = ("messages", "responses", "completions")


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    model: str
    load: tuple[str, ...]
    unit: Literal["request", "chunk"]
    """What the CPU time is divided by."""
    shown: tuple[str, ...]
    """Which metrics its table has (bench/report.py)."""
    skin: str = "chat"
    """What the client speaks; only the gateway understands another than chat."""


SCENARIOS = {
    s.name: s
    for s in (
        Scenario(
            "plain",
            "non-stream, 64 connections, closed loop",
            "bench/plain",
            ("--mode", "closed", "--connections", "64"),
            "request",
            ("requests_per_s", "cpu_us", "p50_ms", "p99_ms"),
        ),
        Scenario(
            "streams",
            "500 open streams, a chunk each 20 ms",
            "bench/stream-20ms",
            ("--mode", "streams", "--connections", "500", "--every", "20", "--ramp", "3"),
            "chunk",
            ("chunks_per_s", "cpu_us", "late_p50_ms", "late_p99_ms", "delivered", "rss_mb", "threads"),
        ),
        Scenario(
            "rate",
            "non-stream, 50 requests/s, open loop",
            "bench/plain",
            ("--mode", "open", "--rate", "50", "--connections", "16"),
            "request",
            ("cpu_us", "p50_ms", "p99_ms", "added_p50_ms", "added_p99_ms"),
        ),
        Scenario(
            "hold",
            "1,000 open streams, a chunk each 200 ms",
            "bench/stream-200ms",
            ("--mode", "streams", "--connections", "1000", "--every", "200", "--ramp", "5"),
            "chunk",
            ("cpu_us", "late_p99_ms", "delivered", "rss_mb", "threads"),
        ),
        Scenario(
            "fast",
            "streams as fast as they go, 64 connections",
            "bench/stream-fast",
            ("--mode", "closed", "--connections", "64", "--stream", "--chunks", "1000"),
            "chunk",
            ("chunks_per_s", "cpu_us", "delivered", "rss_mb"),
        ),
        *(
            Scenario(
                f"plain-{skin}",
                f"plain through the skin {skin}",
                "bench/plain",
                ("--mode", "closed", "--connections", "64"),
                "request",
                ("requests_per_s", "cpu_us", "p50_ms", "p99_ms"),
                skin,
            )
            for skin in SKINS
        ),
        *(
            Scenario(
                f"fast-{skin}",
                f"fast through the skin {skin}",
                "bench/stream-fast",
                ("--mode", "closed", "--connections", "64", "--stream", "--chunks", "1000"),
                "chunk",
                ("chunks_per_s", "cpu_us", "delivered", "rss_mb"),
                skin,
            )
            for skin in SKINS
        ),
    )
}


@dataclass(frozen=True)
class Gate:
    """A limit for the gateway; `of` says which value over the rounds is held against it."""

    scenario: str
    metric: str
    says: str
    limit: float
    passes: Callable[[float, float], bool]
    of: Literal["median", "min"] = "median"


def _at_most(value: float, limit: float) -> bool:
    return value <= limit


def _at_least(value: float, limit: float) -> bool:
    return value >= limit


GATES = (
    Gate("plain", "cpu_us", "CPU µs per non-stream request at 64 connections, at most", 450, _at_most),
    Gate("streams", "cpu_us", "CPU µs per chunk at 500 streams x 20 ms, at most", 40, _at_most),
    Gate("streams", "delivered", "share of chunks delivered at 500 streams, at least", 0.999, _at_least, "min"),
    Gate("streams", "late_p99_ms", "p99 lateness in ms at 500 streams, at most", 100, _at_most),
    Gate("rate", "added_p50_ms", "added p50 in ms at 50 requests/s, at most", 1.8, _at_most),
    *(
        Gate(f"fast-{skin}", "cpu_us", f"CPU µs per chunk through the skin {skin}, at most", 80, _at_most)
        for skin in SKINS
    ),
    Gate("hold", "rss_mb", "MB resident while 1,000 streams are held, at most", 160, _at_most),
    # A thread for each stream would be a thousand; what a process has anyway is a few dozen.
    Gate("hold", "threads", "threads while 1,000 streams are held, at most", 64, _at_most),
)
