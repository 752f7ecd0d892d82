"""The product's real processes for tests: PostgreSQL and Valkey once, and gateways on databases of their own."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
from psycopg import sql

from gateway.local.configuration import BACKLOG, bind
from gateway.local.environment import ROOT
from gateway.local.postgres import Postgres, open_cluster
from gateway.local.process import Command, stop
from gateway.local.ready import answers
from gateway.local.valkey import Valkey

# A crash of the machine may cost a test run its data.
UNSAFE_POSTGRES = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "log_min_messages=log",
)
UNSAFE_VALKEY = ("--appendonly", "no", "--databases", "1000")
TEMPLATE = "template_turnpike"
READY_S = 60


class Servers:
    """PostgreSQL and Valkey in a directory of their own, and a migrated database to copy."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        sockets = directory / "sockets"
        sockets.mkdir(mode=0o711)
        self.postgres: Postgres = open_cluster(directory, sockets, UNSAFE_POSTGRES)
        self.valkey = Valkey(directory / "valkey", sockets / "valkey.sock", UNSAFE_VALKEY)
        self._processes: dict[str, tuple[subprocess.Popen[bytes], Command]] = {}
        self._used_redis_databases = 0

    def start(self) -> None:
        self.start_one(self.postgres)
        self.start_one(self.valkey)
        self.postgres.create_database(TEMPLATE)
        manage({**os.environ, "DATABASE_URL": self.postgres.url(TEMPLATE)}, "migrate", "--verbosity", "0")

    def stop(self) -> None:
        for process, command in reversed(self._processes.values()):
            stop(process, command.stop_signal, grace_s=10)

    def start_one(self, server: Postgres | Valkey) -> None:
        command = server.command()
        process = start_logged(command, self.directory)
        self._processes[command.name] = process, command
        server.wait(lambda: process.poll() is None)

    def stop_one(self, name: str) -> None:
        process, command = self._processes[name]
        stop(process, command.stop_signal, grace_s=10)

    def signal_one(self, name: str, chosen: signal.Signals) -> None:
        self._processes[name][0].send_signal(chosen)

    def empty_database(self) -> str:
        """The URL of a fresh one without a table."""
        name = f"product_{uuid.uuid4().hex[:12]}"
        self.postgres.create_database(name)
        return self.postgres.url(name)

    def new_database(self) -> str:
        """The URL of a fresh, migrated database."""
        name = f"product_{uuid.uuid4().hex[:12]}"
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(copy)
        return self.postgres.url(name)

    def new_redis(self) -> str:
        # 0 is for tests that run in this process.
        self._used_redis_databases += 1
        url = self.valkey.url(self._used_redis_databases)
        redis.Redis.from_url(url).flushdb()
        return url


class Product:
    """Web processes on one socket, and Celery when asked for. The database is its own and empty but for migrations."""

    def __init__(
        self, servers: Servers, environment: Mapping[str, str], *, web: int, worker: bool, host: str = "127.0.0.1"
    ) -> None:
        self.listener = bind("127.0.0.1", 0)
        self.listener.listen(BACKLOG)
        self.url = f"http://{host}:{self.listener.getsockname()[1]}"
        self.directory = servers.directory / f"product-{uuid.uuid4().hex[:8]}"
        self.directory.mkdir()
        self.environment = {
            **os.environ,
            "DATABASE_URL": servers.new_database(),
            "REDIS_URL": servers.new_redis(),
            "DATA_DIR": str(self.directory),
            "PUBLIC_URL": self.url,
            **environment,
        }
        self._commands = [self._web(number) for number in range(web)] + (self._jobs() if worker else [])
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """Of the web processes, then worker and beat."""
        return [process.pid for process in self._processes]

    @property
    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.directory.glob("*.log")))

    def api(self, key: str) -> httpx.Client:
        """A client of its API, to be used in a `with`."""
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=30)

    def ask(self, key: str, model: str = "acme/one", **fields: Any) -> httpx.Response:
        """For a completion, over a connection of its own: processes share the socket, and so the requests."""
        with self.api(key) as client:
            body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
            return client.post("/chat/completions", json=body)

    def launch(self) -> None:
        """Starts it without waiting until it is ready."""
        self._processes = [start_logged(command, self.directory) for command in self._commands]

    def start(self) -> None:
        self.launch()
        deadline = time.monotonic() + READY_S
        while not answers(f"{self.url}/readyz"):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                raise AssertionError(f"the product is not ready:\n{self.log[-5000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """As `bin/run` does: it drains."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            stop(process, signal.SIGTERM, grace_s=15)
        self._processes = []

    def kill(self, chosen: int = signal.SIGKILL) -> None:
        """All processes at once, without a chance to settle anything."""
        for process in self._processes:
            process.send_signal(chosen)
        for process in self._processes:
            process.wait()
        self._processes = []

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop()
        self.listener.close()

    def manage(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return manage(self.environment, *words, check=check)

    def issue_key(
        self, email: str = "alice@example.com", credits: str | None = "10", *, management: bool = False
    ) -> str:
        words = [*(["--credits", credits] if credits else []), *(["--management"] if management else [])]
        return self.manage("issue_key", "--email", email, *words).stdout.strip()

    def import_catalogue(self, text: str) -> None:
        file = self.directory / "catalogue.yaml"
        file.write_text(text)
        self.manage("import_catalogue", str(file))

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement, committed at once, that the product did not run itself."""
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def _web(self, number: int) -> Command:
        fd = self.listener.fileno()
        return self._command(f"web{number}", "gateway.serve", "--fd", str(fd), pass_fds=[fd])

    def _jobs(self) -> list[Command]:
        worker = ["worker", "--queues", "urgent,default,slow", "--concurrency", "2"]
        return [
            self._command("worker", "celery", "--quiet", "-A", "gateway", *worker),
            self._command("beat", "celery", "--quiet", "-A", "gateway", "beat"),
        ]

    def _command(self, name: str, module: str, *words: str, pass_fds: Sequence[int] = ()) -> Command:
        argv = [sys.executable, "-m", module, *words]
        return Command(name=name, argv=argv, environment=self.environment, pass_fds=pass_fds)


@contextmanager
def running(
    servers: Servers,
    *,
    catalogue: str | None = None,
    env: Mapping[str, str] | None = None,
    web: int = 1,
    worker: bool = False,
    host: str = "127.0.0.1",
) -> Iterator[Product]:
    """A product that serves the catalogue (YAML text); for fixtures of a wider scope than one test."""
    product = Product(servers, env or {}, web=web, worker=worker, host=host)
    try:
        if catalogue is not None:
            product.import_catalogue(catalogue)
        product.start()
        yield product
    finally:
        product.close()
        # pytest shows it where a test has failed.
        print(product.log)


def manage(environment: Mapping[str, str], *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, str(ROOT / "manage.py"), *words]
    done = subprocess.run(argv, env=dict(environment), capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"manage.py {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def start_logged(command: Command, directory: Path) -> "subprocess.Popen[bytes]":
    with (directory / f"{command.name}.log").open("ab") as log:
        return command.start(stdout=log, stderr=subprocess.STDOUT)
