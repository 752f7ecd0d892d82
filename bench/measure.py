"""One load against one candidate, and the numbers that follow from it."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.load import PATHS
from bench.scenarios import Scenario

BESIDE = ("postgres", "valkey", "celery")
"""What the gateway's work costs outside of its process."""


@dataclass(frozen=True)
class Candidate:
    name: str
    url: str
    upstream_names: Mapping[str, str] = field(default_factory=dict)
    """Catalogue slug → the mock's model name, for who does not route."""
    key: str = ""
    watch: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Whose CPU counts, by process ids; the candidate's own are called `self`."""


@dataclass(frozen=True)
class Measurement:
    scenario: str
    candidate: str
    round: int
    metrics: dict[str, float]
    errors: dict[str, int]
    raw: dict[str, Any]


def measure(scenario: Scenario, candidate: Candidate, round_: int, seconds: float) -> Measurement:
    raw = run_load(scenario, candidate, seconds)
    return Measurement(scenario.name, candidate.name, round_, _metrics(scenario, raw), raw["errors"], raw)


def run_load(scenario: Scenario, candidate: Candidate, seconds: float) -> dict[str, Any]:
    model = candidate.upstream_names.get(scenario.model, scenario.model)
    url = candidate.url.replace(PATHS["chat"], PATHS[scenario.skin])
    command = [sys.executable, "-m", "bench.load", url, "--json", "--model", model, *scenario.load]
    command += ["--skin", scenario.skin]
    command += ["--seconds", str(seconds)]
    command += _watch_words(candidate)
    command += ["--key", candidate.key] if candidate.key else []
    # Warm-up, ramp and grace together stay far below this.
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=seconds + 90, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def add_against(direct: Measurement | None, other: Measurement) -> None:
    """What the candidate adds to the latency of the mock itself, in the same round."""
    if direct is None:
        return
    for point in ("p50_ms", "p99_ms"):
        if point in other.metrics and point in direct.metrics:
            other.metrics[f"added_{point}"] = other.metrics[point] - direct.metrics[point]


def _watch_words(candidate: Candidate) -> list[str]:
    named = (f"{name}={','.join(map(str, pids))}" for name, pids in candidate.watch.items())
    return [word for one in named for word in ("--watch", one)]


def _metrics(scenario: Scenario, raw: dict[str, Any]) -> dict[str, float]:
    metrics: dict[str, float] = {"requests_per_s": raw["requests_per_s"], "chunks_per_s": raw["chunks_per_s"]}
    for prefix, times in (("", raw["latency_ms"]), ("ttft_", raw["ttft_ms"]), ("late_", raw["lateness_ms"])):
        metrics |= {f"{prefix}{point}_ms": value for point, value in (times or {}).items()}
    if raw["delivered"] is not None:
        metrics["delivered"] = raw["delivered"]
    metrics["load_busy"] = 100 * raw["load_cpu_s"] / raw["seconds"]
    known = raw["load_cpu_s"] + sum(seen["cpu_s"] for seen in raw["watch"].values())
    metrics["others_busy"] = max(0.0, 100 * (raw["machine_cpu_s"] - known) / raw["seconds"])
    done = raw["requests"] if scenario.unit == "request" else raw["chunks"]
    for name, seen in raw["watch"].items():
        metrics[f"{name}_busy"] = 100 * seen["cpu_s"] / raw["seconds"]
        if done:
            metrics["cpu_us" if name == "self" else f"{name}_us"] = seen["cpu_s"] * 1e6 / done
        if name == "self":
            metrics |= {"rss_mb": seen["rss_kb"] / 1024, "threads": seen["threads"]}
    return metrics
