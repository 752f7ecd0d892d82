"""Where the gateway's CPU time goes while it is under load, by py-spy or perf, whichever is found."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.measure import Candidate, run_load
from bench.scenarios import Scenario

SAMPLES_PER_S = 250  # each sample stops the process for a moment, or its stack would be torn
LINES = 30
WARM_UP_S = 2.0
# A pool's thread that waits for work, which py-spy takes for busy.
WAITING = "_worker (concurrent/futures/thread.py)"


def profile(scenario: Scenario, candidate: Candidate, seconds: float, directory: Path) -> str:
    """Put the scenario's load on the candidate and say which functions its process was in."""
    pid = candidate.watch.get("self", [0])[0]
    output = directory / f"profile-{scenario.name}.txt"
    tool = _py_spy(pid, seconds, output) or _perf(pid, seconds, directory / f"perf-{scenario.name}.data")
    if not tool or not pid:
        return "no profile: it needs py-spy (pip install py-spy) or perf, and the gateway among the candidates"
    # Sampling begins when ramp and warm-up are over, so it ends before the load's window does.
    ramp = float(scenario.load[scenario.load.index("--ramp") + 1]) if "--ramp" in scenario.load else 0.0
    recorder = threading.Timer(ramp + WARM_UP_S, _record, (tool,))
    recorder.start()
    run_load(scenario, candidate, seconds + WARM_UP_S)
    recorder.join()
    if Path(tool[0]).name == "perf":
        return f"profile of {scenario.title}: {_perf_report(tool)}"
    return f"profile of {scenario.title} (all stacks in {output})\n{summary(output.read_text().splitlines())}"


def summary(raw: Iterable[str]) -> str:
    """py-spy's raw lines, `outer;inner count`, as shares: of files, of functions alone, and with all that they call."""
    files: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in raw:
        stack, _, count = line.rpartition(" ")
        frames = [_short(frame) for frame in stack.split(";")]
        if frames[-1] == WAITING:
            continue
        files[frames[-1].partition("(")[2].rstrip(")")] += int(count)
        alone[frames[-1]] += int(count)
        for frame in set(frames):
            within[frame] += int(count)
    total = max(1, alone.total())
    tables = []
    for title, counted in (("in the file", files), ("in the function itself", alone), ("with what it calls", within)):
        rows = (f"  {100 * n / total:5.1f} %  {frame}" for frame, n in counted.most_common(LINES))
        tables.append("\n".join([f"{title}, of {total} samples:", *rows]))
    return "\n".join(tables)


def _py_spy(pid: int, seconds: float, output: Path) -> list[str] | None:
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which("py-spy", path=f"{beside_python}:{os.environ.get('PATH', '')}")
    if not found:
        return None
    options = ["--rate", str(SAMPLES_PER_S), "--duration", str(int(seconds)), "--format", "raw", "--nolineno"]
    return [found, "record", "--pid", str(pid), *options, "--output", str(output)]


def _perf(pid: int, seconds: float, output: Path) -> list[str] | None:
    found = shutil.which("perf")
    return [found, "record", "-q", "-o", str(output), "-p", str(pid), "--", "sleep", str(seconds)] if found else None


def _record(tool: list[str]) -> None:
    subprocess.run(tool, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)


def _perf_report(tool: list[str]) -> str:
    data = tool[tool.index("-o") + 1]
    command = [tool[0], "report", "-i", data, "--stdio", "--sort", "dso,symbol", "--percent-limit", "1"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    lines = [line for line in shown.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join([data, *lines[: 2 * LINES]])


def _short(frame: str) -> str:
    """`handle (/a/b/site-packages/django/core/x.py)` → `handle (django/core/x.py)`."""
    name, bracket, path = frame.partition(" (")
    return f"{name} ({path.rpartition('site-packages/')[2]}" if bracket else frame
