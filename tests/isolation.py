"""A pytest plugin that takes the tests out of the caller's environment, before Django's settings are read.

Whatever servers and provider keys the caller has, tests use servers of their own and reach nothing but this machine.
"""

import atexit
import ipaddress
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from gateway.local import postgres, secret_values
from tests.environment import of_the_caller

LOCAL_NAMES = {None, "", "localhost", "localhost.localdomain"}

# Directly in /tmp: a socket's path may have 107 bytes.
DIRECTORY = Path(tempfile.mkdtemp(prefix="turnpike-test-", dir="/tmp"))
# PostgreSQL runs as another user when root runs the tests.
DIRECTORY.chmod(0o711)
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)


def environment() -> dict[str, str]:
    return {
        **of_the_caller(),
        **secret_values.generate(),
        "DATA_DIR": str(DIRECTORY / "data"),
        "DATABASE_URL": postgres.url(DIRECTORY / "sockets" / "postgres"),
        "REDIS_URL": f"unix://{DIRECTORY}/sockets/valkey.sock?db=0",
        "DJANGO_SETTINGS_MODULE": "gateway.settings",
        "PYTHONUNBUFFERED": "1",
    }


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not is_local(host.decode() if isinstance(host, bytes) else host):
        raise OSError(f"tests reach this machine only, not {host}")


def is_local(host: str | None) -> bool:
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host in LOCAL_NAMES
    return address.is_loopback or address.is_unspecified


isolated = environment()
os.environ.clear()
os.environ.update(isolated)
sys.addaudithook(refuse_network)
