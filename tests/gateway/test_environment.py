"""What manage.py learns from a data directory."""

import json
import os
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.configured import watched
from gateway.local import environment, secret_values


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


def write_services(data: Path, pid: int) -> None:
    services = {"pid": pid, "DATABASE_URL": "postgresql:///here", "REDIS_URL": "unix:///here", "pids": {"web": 1}}
    (data / "services.json").write_text(json.dumps(services))


def test_running_services_and_secrets_fill_what_is_unset(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = secret_values.load_or_create(data)
    write_services(data, os.getpid())
    monkeypatch.setattr(environment, "is_supervisor", lambda pid: pid == os.getpid())
    filled = {"DATA_DIR": str(data), "REDIS_URL": "redis://mine"}
    environment.fill(filled)
    assert filled == {
        "DATA_DIR": str(data),
        "REDIS_URL": "redis://mine",
        "DATABASE_URL": "postgresql:///here",
        **secrets,
    }


def test_secret_from_a_file_is_left_alone(data: Path) -> None:
    secret_values.load_or_create(data)
    filled = {"DATA_DIR": str(data), "TURNPIKE_KEY_PEPPER_FILE": "/run/secrets/pepper"}
    environment.fill(filled)
    assert "TURNPIKE_KEY_PEPPER" not in filled
    assert "TURNPIKE_KEY_RING" in filled


def test_services_of_a_killed_supervisor_are_ignored(data: Path) -> None:
    # This process exists, but is no supervisor.
    write_services(data, os.getpid())
    assert environment.running_services(data) == {}


def test_no_data_directory(tmp_path: Path) -> None:
    filled = {"DATA_DIR": str(tmp_path / "missing")}
    environment.fill(filled)
    assert filled == {"DATA_DIR": str(tmp_path / "missing")}


def test_broken_services_file(data: Path) -> None:
    (data / "services.json").write_text("{")
    assert environment.running_services(data) == {}


def test_secrets_are_private_and_kept(data: Path) -> None:
    first = secret_values.load_or_create(data)
    assert (data / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert secret_values.load_or_create(data) == first
    assert environment.read_secrets(data) == first


def test_a_missing_secret_is_added_to_the_others(data: Path) -> None:
    (data / "secrets.env").write_text("TURNPIKE_KEY_PEPPER=known\n")
    assert secret_values.load_or_create(data)["TURNPIKE_KEY_PEPPER"] == "known"
    assert environment.read_secrets(data).keys() == secret_values.generate().keys()


@pytest.mark.parametrize(
    ("url", "idle"),
    [("postgresql://a@db.example/x", "10"), ("postgresql://a@db.example/x?keepalives_idle=99", "99"), ("", None)],
)
def test_a_server_that_vanished_is_noticed_unless_the_url_says_when(url: str, idle: str | None) -> None:
    found = conninfo_to_dict(watched(url))
    assert found.get("keepalives_idle") == idle
    assert found.get("dbname") == ("x" if url else None)
