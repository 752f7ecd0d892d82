"""What a running `bin/run` and its data directory say of the environment, for commands that are started beside it.

Standard library only: manage.py needs it before anything else is imported.
"""

import json
import os
from collections.abc import MutableMapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("DATABASE_URL", "REDIS_URL", "TURNPIKE_LOCAL_MODEL_URL", "PUBLIC_URL")


def data_directory(environment: MutableMapping[str, str] = os.environ) -> Path:
    return Path(environment.get("DATA_DIR") or ROOT / "data").absolute()


def fill(environment: MutableMapping[str, str] = os.environ) -> None:
    """Adds what is not set: the secrets of the data directory, and the servers while a supervisor runs on it."""
    data = data_directory(environment)
    for name, value in {**running_services(data), **read_secrets(data)}.items():
        if not is_given(name, environment):
            environment[name] = value


def is_given(name: str, environment: MutableMapping[str, str] = os.environ) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}_FILE"))


def read_secrets(data: Path) -> dict[str, str]:
    """`NAME=value` lines of secrets.env; empty where there is no such file or it is another user's."""
    try:
        lines = (data / "secrets.env").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def running_services(data: Path) -> dict[str, str]:
    try:
        services = json.loads((data / "services.json").read_text())
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError):
        return {}
    # A killed supervisor leaves the file behind, and its process id may be another program's by now.
    if not is_supervisor(services["pid"]):
        return {}
    return {name: services[name] for name in SERVICES if services.get(name)}


def is_supervisor(pid: int) -> bool:
    try:
        return b"gateway.local" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
