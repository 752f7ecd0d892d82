"""The processes, each by its name: started, killed without warning, stopped for a while, started again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from bench.stack import Stack, free_port
from gateway.local import places, postgres, secret_values, valkey
from gateway.local.environment import ROOT
from gateway.local.process import Command

CATALOGUE = """
providers:
  - {{slug: mock, name: Mock, wire: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: k, passthrough: true}}
models:
  - &model
    slug: chaos/stream
    name: Stream
    context_length: 100000
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {{provider: mock, tag: mock, upstream_model: mock-every50-chunks60-tokens450-size8, max_completion_tokens: 4000,
         supported_parameters: [max_tokens], prices: {{prompt: "0.000001", completion: "0.000002"}}}}
  - slug: chaos/plain
    name: Plain
    context_length: 100000
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {{provider: mock, tag: mock, upstream_model: mock-delay300-tokens300, max_completion_tokens: 4000,
         supported_parameters: [max_tokens], prices: {{prompt: "0.000001", completion: "0.000002"}}}}
"""


class Stage:
    def __init__(self, stack: Stack, gateways: int) -> None:
        self.stack = stack
        self.directory = stack.directory
        self.mock_log = self.directory / "mock.jsonl"
        data = self.directory / "data"
        places.make_data_directory(data)
        runtime = places.runtime_directory(data)
        stack.exits.callback(shutil.rmtree, runtime, ignore_errors=True)
        self.postgres = postgres.open_cluster(data, runtime)
        self.valkey = valkey.open_valkey(data, runtime)
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("TURNPIKE_", "DJANGO_"))}
        self.environment = mine | secret_values.generate()
        self.environment |= {"DATABASE_URL": self.postgres.url(), "REDIS_URL": self.valkey.url(), "DATA_DIR": str(data)}
        self.mock_port = free_port()
        self.listeners = [listener() for _ in range(gateways)]
        self.ports = [one.getsockname()[1] for one in self.listeners]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("postgres", "valkey"):
            self.start_one(name)
        self.postgres.create_database()
        self.manage("migrate", "--no-input", "--verbosity", "0")
        catalogue = self.directory / "catalogue.yaml"
        catalogue.write_text(CATALOGUE.format(port=self.mock_port).replace("  - &model\n    slug", "  - slug"))
        self.manage("import_catalogue", str(catalogue))
        for name in ("mock", "worker", "beat", *self.gateways):
            self.start_one(name)
        for port, name in zip(self.ports, self.gateways, strict=True):
            self.stack.wait_for(f"http://127.0.0.1:{port}/readyz", self._processes[name], name)

    @property
    def gateways(self) -> list[str]:
        return [f"web{number}" for number in range(len(self.ports))]

    def start_one(self, name: str) -> None:
        """Until it lives; PostgreSQL may have to wait for the last processes of the one that was killed."""
        for _ in range(20):
            process = self._processes[name] = self.stack.run(self._command(name))
            try:
                self._wait(name, process)
                return
            except places.Problem:
                time.sleep(0.5)
        raise SystemExit(f"{name} does not start again; see {self.directory}")

    def _wait(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        if name == "postgres":
            self.postgres.wait(lambda: process.poll() is None)
        elif name == "valkey":
            self.valkey.wait(lambda: process.poll() is None)

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].wait()
        if name == "valkey":
            shutil.rmtree(self.valkey.directory, ignore_errors=True)

    def pause(self, name: str, seconds: float) -> None:
        self._processes[name].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._processes[name].send_signal(signal.SIGCONT)

    def manage(self, *words: str) -> str:
        done = self.try_manage(*words)
        if done.returncode:
            raise SystemExit(f"manage.py {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def try_manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def key(self, email: str, credits: str) -> str:
        return self.manage("issue_key", "--email", email, "--credits", credits).splitlines()[-1]

    def _command(self, name: str) -> Command:
        if name == "postgres":
            return self.postgres.command()
        if name == "valkey":
            return self.valkey.command()
        celery = [sys.executable, "-m", "celery", "-A", "gateway"]
        log = ["--log", str(self.mock_log), "--held", "1"]
        words = {
            "mock": [sys.executable, "-m", "bench.upstream", "--port", str(self.mock_port), *log],
            "worker": [*celery, "worker", "-Q", "urgent,default,slow", "--concurrency", "1"],
            "beat": [*celery, "beat", "--pidfile", ""],
        }
        if name in words:
            return Command(name=name, argv=words[name], environment=self.environment)
        fd = self.listeners[self.gateways.index(name)].fileno()
        argv = [sys.executable, "-m", "gateway.serve", "--fd", str(fd)]
        return Command(name=name, argv=argv, environment=self.environment, pass_fds=[fd])


def listener() -> socket.socket:
    """It stays open while its gateway is dead, as behind a load balancer: clients wait."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    found.listen(4096)
    return found
