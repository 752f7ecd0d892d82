"""Starts everything, keeps it running, and stops it in order."""

import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.local import banner, configuration, places, secret_values
from gateway.local.children import Child, run_to_end
from gateway.local.configuration import Configuration
from gateway.local.console import Console
from gateway.local.environment import SERVICES, is_given
from gateway.local.places import Problem
from gateway.local.postgres import open_cluster
from gateway.local.process import Command
from gateway.local.ready import answers, wait_until
from gateway.local.valkey import open_valkey

READY_SECONDS = 120
# Web drains 10 s by itself; the rest is for a process that does not come to its end.
GRACE_S = {"web": 12.0, "jobs": 8.0, "model": 3.0, "valkey": 10.0, "postgres": 30.0}
OPEN_FILES = 65536


def main(arguments: Sequence[str]) -> int:
    console = Console()
    try:
        chosen = configuration.read(arguments)
        places.make_data_directory(chosen.data)
        with places.lock(chosen.data), configuration.bind(chosen.host, chosen.port) as listener:
            allow_many_connections()
            asyncio.run(Supervisor(chosen, listener, console).run())
    except Problem as problem:
        print(f"bin/run: {problem}", file=sys.stderr)
        return 1
    return 0


def allow_many_connections() -> None:
    """The usual soft limit of 1,024 files would end at 500 open streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


class Supervisor:
    def __init__(self, chosen: Configuration, listener: socket.socket, console: Console) -> None:
        self.chosen = replace(chosen, port=listener.getsockname()[1])
        self.listener = listener
        self.console = console
        self.runtime = places.runtime_directory(chosen.data)
        self.environment = self._environment()
        # In the order of starting; the other way round for stopping.
        self.groups: dict[str, list[Child]] = {}
        self.stopping = asyncio.Event()
        self.hurry = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        self.console.on_closed = self.stopping.set
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await self._stop()

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            self.hurry.set()
        else:
            self.console.line("run", "stopping; once more to stop at once")
        self.stopping.set()

    async def _start(self) -> None:
        await self._start_servers()
        model_url = await self._start_model()
        prepared = banner.Prepared(**await run_to_end(self._prepare(), self.console))
        self.listener.listen(configuration.BACKLOG)
        await self._start_product()
        await self._until(self.chosen.local_url + "/readyz", "the gateway")
        if model_url:
            await self._until(model_url.removesuffix("/v1") + "/health", "the local model")
        self.console.write(banner.text(self.environment["PUBLIC_URL"], prepared))

    async def _start_servers(self) -> None:
        if self.chosen.runs_postgres:
            postgres = await asyncio.to_thread(open_cluster, self.chosen.data, self.runtime)
            child = await self._add("postgres", "postgres", postgres.command)
            await asyncio.to_thread(postgres.wait, child.is_alive)
            await asyncio.to_thread(postgres.create_database)
            self.environment["DATABASE_URL"] = postgres.url()
        if self.chosen.runs_valkey:
            valkey = open_valkey(self.chosen.data, self.runtime)
            child = await self._add("valkey", "valkey", valkey.command)
            await asyncio.to_thread(valkey.wait, child.is_alive)
            self.environment["REDIS_URL"] = valkey.url()

    async def _start_model(self) -> str | None:
        if not self.chosen.runs_model:
            return None
        port = configuration.free_port()
        url = f"http://127.0.0.1:{port}/v1"
        self.environment["TURNPIKE_LOCAL_MODEL_URL"] = url
        await self._add(
            "model", "model", lambda: self._command("model", "-m", "gateway.local.model", "--port", str(port))
        )
        return url

    async def _start_product(self) -> None:
        celery = ["-m", "celery", "--quiet", "-A", "gateway"]
        worker = [*celery, "worker", "--queues", "urgent,default,slow", "--concurrency", "2"]
        # Its warning against root is meant for shared machines with a pickle broker; ours is private and speaks JSON.
        self.environment.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser privileges")
        await self._add("jobs", "worker", lambda: self._command("worker", *worker))
        await self._add("jobs", "beat", lambda: self._command("beat", *celery, "beat"))
        fd = self.listener.fileno()
        for number in range(1, self.chosen.web_processes + 1):
            name = f"web.{number}" if self.chosen.web_processes > 1 else "web"
            await self._add("web", name, partial(self._web, name, fd))

    async def _add(self, group: str, name: str, make: Callable[[], Command]) -> Child:
        child = Child(name, make, self.console, self._write_services)
        self.groups.setdefault(group, []).append(child)
        await child.start()
        return child

    async def _until(self, url: str, what: str) -> None:
        if not await wait_until(lambda: answers(url), READY_SECONDS):
            raise Problem(f"{what} was not ready after {READY_SECONDS} s (see above)")

    async def _stop(self) -> None:
        for group, children in reversed(self.groups.items()):
            await asyncio.gather(*(child.stop(GRACE_S[group], self.hurry) for child in children))
        self._services_file.unlink(missing_ok=True)
        shutil.rmtree(self.runtime, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        """What the children see: the caller's variables, and what is ours where the caller gave none."""
        ours = secret_values.load_or_create(self.chosen.data)
        ours |= {"PUBLIC_URL": self.chosen.public_url, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
        given = {name: value for name, value in os.environ.items() if value}
        return {
            **{name: value for name, value in ours.items() if not is_given(name)},
            **given,
            "DATA_DIR": str(self.chosen.data),
            "PORT": str(self.chosen.port),
            "PYTHONUNBUFFERED": "1",
        }

    def _prepare(self) -> Command:
        flags = {"--refresh": self.chosen.refresh, "--demo": self.chosen.has_demo}
        return self._command(
            "prepare", "manage.py", "prepare_local", *(flag for flag, wanted in flags.items() if wanted)
        )

    def _web(self, name: str, fd: int) -> Command:
        return self._command(name, "-m", "gateway.serve", "--fd", str(fd), pass_fds=[fd])

    def _command(self, name: str, *words: str, pass_fds: Sequence[int] = ()) -> Command:
        argv = [sys.executable, *words]
        return Command(name=name, argv=argv, environment=dict(self.environment), pass_fds=pass_fds)

    @property
    def _services_file(self) -> Path:
        return self.chosen.data / "services.json"

    def _write_services(self) -> None:
        """For manage.py and for people: what runs, and where."""
        services = {name: self.environment[name] for name in SERVICES if name in self.environment}
        pids = {child.name: child.pid for children in self.groups.values() for child in children}
        text = json.dumps({"pid": os.getpid(), **services, "pids": pids}, indent=2)
        places.write_private(self._services_file, text + "\n")
