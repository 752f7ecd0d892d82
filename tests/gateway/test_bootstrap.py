"""What `bin/run` says where it cannot run."""

import ast
import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gateway.local.environment import ROOT

FILE = ROOT / "bin" / "bootstrap.py"


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "run"])
    return module


def refusal(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        bootstrap.check_machine()
    assert stopped.value.code == 1
    return capsys.readouterr().err


def test_old_pythons_can_read_it() -> None:
    for file in (FILE, ROOT / "manage.py"):
        ast.parse(file.read_text(), feature_version=(3, 7))


def test_this_machine_will_do(bootstrap: ModuleType) -> None:
    bootstrap.check_machine()


def test_other_machine(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert refusal(bootstrap, capsys) == "bin/run: Turnpike runs on Linux x86-64; this is Linux aarch64.\n"


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_other_python(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: tuple[int, int, int],
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert "Turnpike needs Python 3.11, 3.12 or 3.13; found" in refusal(bootstrap, capsys)


@pytest.mark.parametrize("libc", [("glibc", "2.27"), ("", "")])
def test_old_or_other_libc(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], libc: tuple[str, str]
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    expected = " ".join(libc).strip() or "none"
    assert refusal(bootstrap, capsys) == f"bin/run: Turnpike needs glibc 2.28 or newer; found {expected}.\n"


def test_no_venv_module(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert "Turnpike needs Python's venv module" in refusal(bootstrap, capsys)


@pytest.mark.parametrize("command", ["run", "test"])
def test_python_that_does_not_run(command: str) -> None:
    done = subprocess.run(
        [ROOT / "bin" / command], env={**os.environ, "PYTHON": "/nonexistent"}, capture_output=True, text=True
    )
    expected = "Turnpike needs Python 3.11, 3.12 or 3.13; PYTHON=/nonexistent does not run.\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_only_changed_requirements_are_installed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    product, model = tmp_path / "product.txt", tmp_path / "model.txt"
    product.write_text("django==1\n")
    model.write_text("weights==1\n")
    installs: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path / "stamps")
    monkeypatch.setattr(bootstrap, "MODEL", model)
    monkeypatch.setattr(bootstrap, "pip", installs.append)
    bootstrap.install([product, model])
    bootstrap.install([product, model])
    assert installs == [["-r", str(product)], ["--no-deps", "-r", str(model)]]
    product.write_text("django==2\n")
    bootstrap.install([product, model])
    assert installs[2:] == [["-r", str(product)]]
