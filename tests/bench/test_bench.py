"""The bench's mock upstream and load generator against each other. Counts only: no time is asserted."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.measure import Measurement
from bench.profiling import summary
from bench.report import Results, verdict
from bench.wire import Plan, read_plan

ROOT = Path(__file__).resolve().parents[2]


class Bench:
    def __init__(self, url: str, pid: int, log: Path) -> None:
        self.url = url
        self.pid = pid
        self.log = log

    def load(self, *words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "bench.load", f"{self.url}/chat/completions", "--json"]
        command += ["--seconds", "1", "--grace", "5", *words]
        command += ["--warmup", "0.2", "--watch", f"mock={self.pid}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url.replace("/v1", "/stats"), timeout=5) as answer:
            stats: dict[str, Any] = json.load(answer)
        return stats

    def logged(self) -> list[dict[str, Any]]:
        self.stats()  # writes what it holds
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    log = tmp_path / "mock.jsonl"
    command = [sys.executable, "-m", "bench.upstream", "--port", "0", "--log", str(log)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first_line = process.stdout.readline()
    yield Bench(first_line.split()[-1], process.pid, log)
    process.terminate()
    process.wait(10)


def test_closed_loop(bench: Bench) -> None:
    result = bench.load("--connections", "8")
    assert result["errors"] == {}
    assert result["sent"] == result["answered"] == bench.stats()["complete"] > 100
    assert 0 < result["requests"] <= result["answered"]
    assert result["completion_tokens"] == 16 * result["answered"] == bench.stats()["completion_tokens"]
    assert result["watch"]["mock"]["cpu_s"] > 0


def test_closed_loop_of_streams(bench: Bench) -> None:
    result = bench.load("--connections", "8", "--stream", "--chunks", "50", "--model", "mock-chunks1000")
    assert result["errors"] == {}
    assert result["chunks_received"] == result["chunks_expected"] == 50 * result["answered"] == bench.stats()["chunks"]
    assert (result["delivered"], result["disordered"]) == (1.0, 0)
    assert result["completion_tokens"] == result["chunks_received"]


def test_open_loop_keeps_its_rate(bench: Bench) -> None:
    result = bench.load("--mode", "open", "--rate", "100", "--connections", "4")
    assert result["errors"] == {}
    assert 115 <= result["sent"] <= 125  # 1.2 s


def test_open_loop_counts_waiting_for_a_connection(bench: Bench) -> None:
    """One connection at 100 ms a request cannot take 30 a second: what waits is late from its planned start."""
    result = bench.load(
        "--mode", "open", "--rate", "30", "--connections", "1", "--model", "mock-delay100", "--grace", "20"
    )
    assert result["errors"] == {}
    assert result["sent"] == result["answered"] > 30
    assert result["latency_ms"]["max"] > 1000


def test_streams_held_open(bench: Bench) -> None:
    words = ("--mode", "streams", "--connections", "50", "--every", "20", "--ramp", "0.3")
    result = bench.load(*words, "--model", "mock-every20-chunks100000")
    assert result["errors"] == {}
    assert result["sent"] == result["answered"] == 50
    assert (result["delivered"], result["disordered"]) == (1.0, 0)
    assert 2000 < result["chunks"] < 3000  # 50 a second and stream
    assert len(result["lateness_ms"]) == 4


@pytest.mark.parametrize(
    ("model", "stream", "error", "outcome"),
    [
        ("mock-status429", False, "429", "error"),
        ("mock-status500", True, "500", "error"),
        ("mock-drop0", False, "connection lost", "dropped"),
        ("mock-drop1", False, "connection lost", "dropped"),
        ("mock-drop3", True, "connection lost", "dropped"),
        ("mock-stall3", True, "unfinished", "hangup"),
    ],
)
def test_faults(bench: Bench, model: str, stream: bool, error: str, outcome: str) -> None:
    words = [
        "--connections",
        "2",
        "--model",
        model,
        "--seconds",
        "0.2",
        "--grace",
        "0.2",
        *(["--stream"] if stream else []),
    ]
    result = bench.load(*words)
    assert set(result["errors"]) == {error}
    assert result["answered"] == 0
    assert {(line["model"], line["outcome"]) for line in bench.logged()} == {(model, outcome)}


def test_plan_in_a_name() -> None:
    base = Plan(chunks=3)
    assert read_plan(base, "mock") == base
    assert read_plan(base, "mock-delay20-chunks50", "chunks7-drop2") == Plan(delay=20, chunks=7, drop=2)
    assert read_plan(base, "mock-chunks5x-notachunks9") == base


def test_verdict() -> None:
    def measured(round_: int, cpu_us: float) -> Measurement:
        return Measurement("plain", "gateway", round_, {"cpu_us": cpu_us}, {}, {})

    assert "PASS  CPU" in verdict(Results([measured(1, 400), measured(2, 449), measured(3, 900)]))
    assert "FAIL  CPU" in verdict(Results([measured(1, 400), measured(2, 451), measured(3, 900)]))
    wrong = Measurement("plain", "gateway", 1, {}, {"500": 2}, {})
    assert "FAIL  answers" in verdict(Results([wrong]))


def test_profile_summary() -> None:
    lines = summary(["main (a.py);read (/x/site-packages/b.py) 3", "main (a.py) 1"]).splitlines()
    assert "   75.0 %  read (b.py)" in lines
    assert "  100.0 %  main (a.py)" in lines
