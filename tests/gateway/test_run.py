"""`bin/run` as a person starts it."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.local import model
from gateway.local.environment import ROOT
from gateway.local.places import runtime_directory
from tests import isolation
from tests.services import Servers

pytestmark = pytest.mark.slow
READY_S = 100
STOP_S = 40


class Run:
    """One `bin/run` on a data directory."""

    def __init__(self, data: Path, log: Path, *words: str, **variables: str) -> None:
        self.data = data
        self.log = log
        inherited = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        inherited = {name: value for name, value in inherited.items() if not name.startswith(("TURNPIKE", "DJANGO"))}
        self.environment = {**inherited, "DATA_DIR": str(data), "PORT": "0", "TURNPIKE_LOCAL_MODEL": "0", **variables}
        with log.open("wb") as output:
            argv = [str(ROOT / "bin/run"), *words]
            self.process = subprocess.Popen(argv, env=self.environment, stdout=output, stderr=output)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def demo(self) -> dict[str, Any]:
        return dict(json.loads((self.data / "demo.json").read_text()))

    @property
    def services(self) -> dict[str, Any]:
        return dict(json.loads((self.data / "services.json").read_text()))

    def wait_for_banner(self) -> "Run":
        wait_until(lambda: "Turnpike runs at" in self.output or self.process.poll() is not None, READY_S)
        assert "Turnpike runs at" in self.output, self.output
        return self

    def manage(self, *words: str) -> str:
        argv = ["/usr/bin/env", "python3", str(ROOT / "manage.py"), *words]
        return subprocess.run(argv, env=self.environment, check=True, capture_output=True, text=True).stdout

    def stop(self, chosen: int = signal.SIGTERM) -> int:
        self.process.send_signal(chosen)
        return self.process.wait(STOP_S)

    def refused(self) -> str:
        """The one line of a second start on the same data directory and port."""
        assert self.process.wait(STOP_S) == 1
        return self.output


@pytest.fixture
def data() -> Path:
    """Where PostgreSQL's own user can go when the tests run as root; pytest's directories are private."""
    return isolation.DIRECTORY / f"run-{time.time_ns()}"


@pytest.fixture
def start(data: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start_one(*words: str, at: Path = data, **variables: str) -> Run:
        runs.append(Run(at, tmp_path / f"run-{len(runs)}.log", *words, **variables))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            run.stop()


def account(run: Run, path: str, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{run.demo['url']}/api/v1/{path}", headers=headers).raise_for_status().json()["data"]


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_so()


def descendants(pid: int) -> set[int]:
    children = {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children.union(*(descendants(child) for child in children))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_first_start_second_start(start: Callable[..., Run], data: Path) -> None:
    run = start().wait_for_banner()
    demo = run.demo
    assert httpx.get(f"{demo['url']}/readyz").status_code == 200
    assert f"Key    {demo['key']}" in run.output
    assert demo["admin"]["password"] in run.output
    assert [mode(data / name) for name in ("demo.json", "secrets.env", "services.json")] == [0o600] * 3
    assert account(run, "credits", demo["key"])["total_credits"] == 10
    assert "demo@turnpike.local" in run.manage("shell", "-c", "print(list(User.objects.values_list('email')))")

    assert "is in use by another bin/run (pid" in start().refused()
    port = demo["url"].rpartition(":")[2]
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in start(at=data / "other", PORT=port).refused()

    assert run.stop() == 0
    assert not (data / "services.json").exists()
    again = start().wait_for_banner()
    assert again.demo == {**demo, "url": again.demo["url"]}
    assert account(again, "credits", demo["key"])["total_credits"] == 10
    assert again.stop(signal.SIGINT) == 0


def test_no_provider_names_the_variables(start: Callable[..., Run]) -> None:
    run = start().wait_for_banner()
    assert "No provider is switched on yet" in run.output
    assert "_API_KEY" in run.output
    assert "curl" not in run.output


def test_provider_key_switches_on(start: Callable[..., Run]) -> None:
    run = start(OPENAI_API_KEY="sk-nothing").wait_for_banner()
    assert '{"model": "openai/' in run.output


def test_killed_supervisor_leaves_nothing_and_loses_nothing(start: Callable[..., Run]) -> None:
    run = start().wait_for_banner()
    key = run.manage("issue_key", "--email", "bob@example.com", "--credits", "3").strip()
    wait_until(lambda: len(descendants(run.process.pid)) > 15, 20)
    children = descendants(run.process.pid)
    assert set(run.services["pids"].values()) <= children
    run.stop(signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_running, children)), 10), [pid for pid in children if is_running(pid)]
    again = start().wait_for_banner()
    assert account(again, "credits", key)["total_credits"] == 3


def test_dead_processes_are_started_again(start: Callable[..., Run]) -> None:
    run = start().wait_for_banner()
    before = run.services["pids"]
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def all_new() -> bool:
        now = run.services["pids"]
        return all(now[name] not in (None, pid) for name, pid in before.items())

    assert wait_until(all_new, 30), run.output
    assert wait_until(lambda: is_ready(run.demo["url"]), 30), run.output
    assert "postgres was ended by signal 9; it starts again in 0.5 s" in run.output


def is_ready(url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/readyz").json()["status"] == "ok")
    except httpx.HTTPError:
        return False


def test_second_signal_stops_at_once(start: Callable[..., Run]) -> None:
    run = start().wait_for_banner()
    os.kill(run.services["pids"]["worker"], signal.SIGSTOP)
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    begun = time.monotonic()
    assert run.stop(signal.SIGINT) == 0
    assert time.monotonic() - begun < 3


def test_stopped_while_it_starts(start: Callable[..., Run], data: Path) -> None:
    run = start()
    assert wait_until((data / "services.json").exists, READY_S), run.output
    children = descendants(run.process.pid)
    assert run.stop() == 0
    assert not any(map(is_running, children))


def test_sockets_of_somebody_else(start: Callable[..., Run], data: Path) -> None:
    """A directory in /tmp that others may write to is not trusted."""
    data.mkdir()
    runtime_directory(data).chmod(0o777)
    assert "is not a private directory of this user; remove it" in start().refused()


def test_refresh_imports_again(start: Callable[..., Run], tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("providers: 1\n")
    start().wait_for_banner().stop()
    # On a database that has a catalogue the file is read for --refresh only.
    start(CATALOGUE_FILE=str(bad)).wait_for_banner().stop()
    output = start("--refresh", CATALOGUE_FILE=str(bad)).refused()
    assert f"{bad}:1:" in output
    assert "bin/run: prepare ended with exit code 2 (see above)" in output


def test_external_servers_and_no_demo(start: Callable[..., Run], servers: Servers, data: Path) -> None:
    run = start(DATABASE_URL=servers.new_database(), REDIS_URL=servers.new_redis()).wait_for_banner()
    assert run.services["pids"].keys() == {"web", "worker", "beat"}
    assert "./manage.py issue_key" in run.output
    assert not (data / "demo.json").exists()
    assert not (data / "postgres").exists()


def test_database_that_is_not_there(start: Callable[..., Run], servers: Servers) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://app@127.0.0.1:{unused.getsockname()[1]}/turnpike"
        assert "cannot use the database of DATABASE_URL" in start(DATABASE_URL=url).refused()


def test_several_web_processes_share_the_port(start: Callable[..., Run]) -> None:
    run = start(WEB_PROCESSES="2").wait_for_banner()
    assert {"web.1", "web.2"} <= run.services["pids"].keys()
    os.kill(run.services["pids"]["web.1"], signal.SIGSTOP)
    try:
        assert httpx.get(f"{run.demo['url']}/livez", timeout=5).status_code == 200
    finally:
        os.kill(run.services["pids"]["web.1"], signal.SIGKILL)


@pytest.mark.skipif(not model.is_installed(), reason="started with TURNPIKE_LOCAL_MODEL=0")
def test_the_pasted_curl_gets_a_completion(start: Callable[..., Run]) -> None:
    run = start(TURNPIKE_LOCAL_MODEL="1").wait_for_banner()
    _, _, pasted = run.output.partition("Try it:")
    command = pasted.partition("\n\n")[2].partition("\n\n")[0]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == "huggingfacetb/smollm2-135m-instruct"
    assert answer["usage"]["cost"] > 0
