"""The product under test, everything on: its servers, one web process, Celery worker and beat, a funded key."""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass

from bench.stack import Stack
from gateway.local import places, postgres, secret_values, valkey
from gateway.local.environment import ROOT

CREDITS_USD = 1_000_000
COMMAND_SECONDS = 120


@dataclass(frozen=True)
class Gateway:
    url: str
    key: str
    web: list[int]
    beside: dict[str, list[int]]
    """Process ids of what works for it in other processes."""
    environment: dict[str, str]
    """Of its processes and management commands."""


def start_gateway(stack: Stack, catalogue: str) -> Gateway:
    """`catalogue` is the text of the file to import."""
    env, beside = _servers(stack)
    manage(env, "migrate", "--no-input")
    file = stack.directory / "catalogue.yaml"
    file.write_text(catalogue)
    manage(env, "import_catalogue", str(file))
    key = manage(env, "issue_key", "--email", "bench@turnpike.local", "--credits", str(CREDITS_USD))
    beside["celery"] = _celery(stack, env)
    url, web = _web(stack, env)
    return Gateway(url, key.splitlines()[-1], [web], beside, env)


def _servers(stack: Stack) -> tuple[dict[str, str], dict[str, list[int]]]:
    """The environment of the product, and the process ids of its servers: settings as `bin/run` has them."""
    data = stack.directory / "data"
    places.make_data_directory(data)
    runtime = places.runtime_directory(data)
    for directory in (data, runtime):  # the logs stay
        stack.exits.callback(shutil.rmtree, directory, ignore_errors=True)
    database = postgres.open_cluster(data, runtime)
    broker = valkey.open_valkey(data, runtime)
    pids = {"postgres": _start(stack, database), "valkey": _start(stack, broker)}
    database.create_database()
    # What the caller's shell has set for another Turnpike must not reach this one.
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("TURNPIKE_", "DJANGO_"))}
    mine |= secret_values.generate()
    mine |= {"DATABASE_URL": database.url(), "REDIS_URL": broker.url(), "DATA_DIR": str(data)}
    return mine, pids


def _start(stack: Stack, server: postgres.Postgres | valkey.Valkey) -> list[int]:
    process = stack.run(server.command())
    server.wait(lambda: process.poll() is None)
    return [process.pid]


def _web(stack: Stack, env: dict[str, str]) -> tuple[str, int]:
    with socket.socket() as listening:  # the process has its own copy
        listening.bind(("127.0.0.1", 0))
        listening.listen(4096)
        url, fd = f"http://127.0.0.1:{listening.getsockname()[1]}", listening.fileno()
        process = stack.start("web", [sys.executable, "-m", "gateway.serve", "--fd", str(fd)], env, (fd,))
    stack.wait_for(f"{url}/readyz", process, "web")
    return url, process.pid


def _celery(stack: Stack, env: dict[str, str]) -> list[int]:
    celery = [sys.executable, "-m", "celery", "-A", "gateway"]
    worker = [*celery, "worker", "-Q", "urgent,default,slow", "--concurrency", "1", "--loglevel", "INFO"]
    beat = [*celery, "beat", "--loglevel", "INFO", "--pidfile", ""]
    return [stack.start("worker", worker, env).pid, stack.start("beat", beat, env).pid]


def manage(env: dict[str, str], *words: str) -> str:
    """What a management command prints."""
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode:
        sys.exit(f"bench: manage.py {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()
