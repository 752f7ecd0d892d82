"""What the person who starts `bin/run` has chosen."""

import argparse
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.local import model
from gateway.local.environment import data_directory, is_given
from gateway.local.places import Problem

BACKLOG = 2048
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    data: Path
    host: str
    port: int
    web_processes: int
    refresh: bool
    runs_postgres: bool
    runs_valkey: bool
    runs_model: bool
    has_demo: bool

    @property
    def local_url(self) -> str:
        """Where this machine reaches the gateway, whatever address it listens on."""
        return f"http://{bracketed(EVERYWHERE.get(self.host, self.host))}:{self.port}"

    @property
    def public_url(self) -> str:
        return os.environ.get("PUBLIC_URL") or f"http://{bracketed(self.host)}:{self.port}"


def read(arguments: Sequence[str]) -> Configuration:
    parser = argparse.ArgumentParser(prog="bin/run", description="Starts Turnpike with everything it needs.")
    parser.add_argument("--refresh", action="store_true", help="import the shipped catalogue again")
    refresh = parser.parse_args(arguments).refresh
    runs_model = os.environ.get("TURNPIKE_LOCAL_MODEL") != "0"
    if runs_model and not model.is_installed():
        raise Problem("the local model is not installed; start with bin/run, or set TURNPIKE_LOCAL_MODEL=0")
    runs_postgres = not is_given("DATABASE_URL")
    return Configuration(
        data=data_directory(),
        host=os.environ.get("HOST") or "127.0.0.1",
        port=number("PORT", 8000, 65535),
        web_processes=max(1, number("WEB_PROCESSES", 1, 256)),
        refresh=refresh,
        runs_postgres=runs_postgres,
        runs_valkey=not is_given("REDIS_URL"),
        runs_model=runs_model,
        # In a database that others may share, a demo login is made only when asked for.
        has_demo=runs_postgres or os.environ.get("TURNPIKE_DEMO") == "1",
    )


def number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) > most:
        raise Problem(f"{name} must be a number up to {most}, not {text!r}")
    return int(text)


def bind(host: str, port: int) -> socket.socket:
    """The socket of all web processes, bound before anything starts so that a taken port is known at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        place = f"{bracketed(host)}:{port}"
        raise Problem(f"cannot listen on {place}: {error.strerror}; HOST=… and PORT=… name another") from error
    return bound


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
