"""The processes of a bench run: the mock, nginx as the peer, and the product as it runs in production."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from bench.machine import raise_file_limit
from gateway.local.process import Command, stop

STOP_AFTER_S = 15

NGINX = """
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream mock {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        keepalive_requests 100000000;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


class Stack:
    """Starts processes and ends all of them, last first, when it is left; their output is in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.exits = ExitStack()

    def __enter__(self) -> "Stack":
        raise_file_limit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.exits.close()

    def start(
        self, name: str, words: list[str], env: dict[str, str] | None = None, fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        return self.run(Command(name=name, argv=words, environment=env or os.environ, pass_fds=fds))

    def run(self, command: Command) -> subprocess.Popen[bytes]:
        log = self.exits.enter_context((self.directory / f"{command.name}.log").open("ab"))
        process = command.start(stdout=log, stderr=log)
        self.exits.callback(stop, process, command.stop_signal, grace_s=STOP_AFTER_S)
        return process

    def mock(self) -> tuple[int, int]:
        """Its port and process id."""
        port = free_port()
        process = self.start("mock", [sys.executable, "-m", "bench.upstream", "--port", str(port)])
        self.wait_for(f"http://127.0.0.1:{port}/stats", process, "mock")
        return port, process.pid

    def nginx(self, upstream_port: int) -> tuple[int, int] | None:
        binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if not binary:
            print("bench: no nginx, so no peer to compare with: apt-get install nginx-light", file=sys.stderr)
            return None
        port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        config = self.directory / "nginx.conf"
        config.write_text(NGINX.format(directory=self.directory, upstream=upstream_port, port=port, user=user))
        process = self.start("nginx", [binary, "-c", str(config), "-p", str(self.directory)])
        self.wait_for(f"http://127.0.0.1:{port}/stats", process, "nginx")
        return port, process.pid

    def wait_for(self, url: str, process: subprocess.Popen[bytes], name: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        log = self.directory / f"{name}.log"
        sys.exit(f"bench: {name} is not ready; the end of {log}:\n{log.read_text()[-3000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
