"""What the kernel knows: CPU time, memory and threads of processes, and which machine this is."""

import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Footprint:
    """A process and all its descendants. CPU time counts descendants that have ended and been waited for."""

    cpu_s: float
    rss_kb: int
    threads: int


def footprint(pids: list[int]) -> Footprint:
    found = [one for pid in _with_descendants(pids) if (one := _one(pid))]
    return Footprint(sum(f.cpu_s for f in found), sum(f.rss_kb for f in found), sum(f.threads for f in found))


def busy_s() -> float:
    """CPU time that the machine has given to anything, or that its host took away, since it started."""
    user, nice, system, _idle, _waiting, *rest = (
        int(value) for value in _read("/proc/stat").split("\n")[0].split()[1:9]
    )
    return (user + nice + system + sum(rest)) / TICKS


def raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe() -> dict[str, str | int]:
    """The machine that numbers come from: without it they mean nothing."""
    models = [line.split(":", 1)[1].strip() for line in _read("/proc/cpuinfo").splitlines() if "model name" in line]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count() or 1,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": _read("/proc/loadavg").split(" ")[0],
    }


def _with_descendants(pids: list[int]) -> list[int]:
    found = list(pids)
    for pid in found:  # grows while it is walked
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in _read(str(task)).split()]
    return found


def _one(pid: int) -> Footprint | None:
    stat, status = _read(f"/proc/{pid}/stat"), _read(f"/proc/{pid}/status")
    if not stat or not status:
        return None
    # The command's name may hold spaces; what follows its closing parenthesis starts with field 3.
    rest = stat.rpartition(")")[2].split()
    ticks = sum(int(value) for value in rest[11:15])
    memory = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    return Footprint(ticks / TICKS, sum(memory), int(rest[17]))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # the process has ended
        return ""
