"""Child processes that do not outlive their parent."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.local.environment import ROOT

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a server runs as when root starts it."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str
    argv: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    account: Account | None = None
    pass_fds: Sequence[int] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    # What the kernel sends when the parent is gone. SIGKILL cannot be put off.
    death_signal: signal.Signals = signal.SIGKILL

    def options(self) -> dict[str, Any]:
        """Arguments for subprocess.Popen and asyncio.create_subprocess_exec."""
        options: dict[str, Any] = {
            "env": dict(self.environment),
            "cwd": ROOT if self.account is None else "/",
            "pass_fds": tuple(self.pass_fds),
            "stdin": subprocess.DEVNULL,
            # Ctrl-C in a terminal is for the supervisor alone, which stops the others in order.
            "start_new_session": True,
            # Runs after the change of user, which would clear the setting.
            "preexec_fn": die_with_parent(self.death_signal),
        }
        if self.account is not None:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return options

    def start(self, **options: Any) -> "subprocess.Popen[bytes]":
        """Call from the main thread: the kernel counts the thread that forked as the parent."""
        return subprocess.Popen([str(word) for word in self.argv], **self.options(), **options)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    number, unused = ctypes.c_ulong(death_signal), ctypes.c_ulong(0)

    def prepare_child() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, number, unused, unused, unused)
        # The parent may have died before the line above.
        if os.getppid() != parent:
            os._exit(1)

    return prepare_child


def stop(process: "subprocess.Popen[bytes]", stop_signal: signal.Signals, *, grace_s: float) -> None:
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_leftovers(program: str, directory: Path, stop_signal: signal.Signals, *, grace_s: float = 10) -> None:
    """Ends servers of a killed supervisor that still work in the directory: a new one must not share it with them."""
    deadline = time.monotonic() + grace_s
    told: set[int] = set()
    while found := set(working_in(directory, program)):
        late = time.monotonic() > deadline
        for pid in found if late else found - told:
            _send(pid, signal.SIGKILL if late else stop_signal)
        told |= found
        time.sleep(0.05)


def working_in(directory: Path, program: str) -> list[int]:
    """Processes of the program in that current directory; PostgreSQL and Valkey both move into their data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "exe").readlink().name == program and (process / "cwd").readlink() == directory:
                found.append(int(process.name))
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def _send(pid: int, chosen: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, chosen)
