"""`python -m tests`: what `bin/test` becomes when .venv is ready. Every check, then pytest."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from gateway.local import secret_values
from tests.environment import of_the_caller

PYTHON = sys.executable
# What a deployment sets; nothing connects to these servers.
PRODUCTION = {
    "PUBLIC_URL": "https://turnpike.example",
    "DATABASE_URL": "postgresql://turnpike@db.turnpike.example/turnpike",
    "REDIS_URL": "redis://redis.turnpike.example/0",
}
# makemigrations looks for a database and warns where it finds none; which one must not depend on the machine.
NO_DATABASE = {"DATABASE_URL": "postgresql:///turnpike?host=/nonexistent", **secret_values.generate()}
# Files in the order of tests/conftest.py, not those with most tests first.
PARALLEL = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
QUICK = ["-m", "not slow and not thorough", *PARALLEL]
TOGETHER = ["-m", "not alone", *PARALLEL]
ALONE = ["-m", "alone"]
QUIET = ["-W", "ignore::RuntimeWarning"]


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="turnpike-check-") as directory, ThreadPoolExecutor(1) as beside:
        production = {**PRODUCTION, **secret_values.generate(), "DATA_DIR": directory}
        # Without its cache it takes minutes of one core, and tests that wait for servers leave as much idle.
        typed = beside.submit(passes, TYPES, Path(directory) / "mypy")
        failed = [step.name for step in [*checks(production), *tests(arguments)] if not passes(step)]
        if not typed.result():
            failed.append(TYPES.name)
    if failed:
        print(f"bin/test: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


TYPES = Step("mypy", ["nice", PYTHON, "-m", "mypy"])


def checks(production: Mapping[str, str]) -> list[Step]:
    return [
        Step("ruff check", [PYTHON, "-m", "ruff", "check"]),
        Step("ruff format", [PYTHON, "-m", "ruff", "format", "--check"]),
        Step("import-linter", [PYTHON, str(Path(PYTHON).with_name("lint-imports"))]),
        Step("migrations", [PYTHON, *QUIET, "manage.py", "makemigrations", "--check", "--dry-run"], NO_DATABASE),
        Step("deployment", [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"], production),
    ]


def tests(arguments: Sequence[str]) -> list[Step]:
    """What is asked for by name runs as it is asked for."""
    chosen = [word for word in arguments if word != "--quick"]
    if "--quick" in arguments:
        return [pytest("pytest", [*QUICK, *chosen])]
    if chosen:
        return [pytest("pytest", chosen)]
    return [pytest("pytest", TOGETHER), pytest("tests that load the machine", ALONE)]


def pytest(name: str, arguments: Sequence[str]) -> Step:
    return Step(name, [PYTHON, "-m", "pytest", "--durations=25", *arguments])


def passes(step: Step, log: Path | None = None) -> bool:
    """What goes to a log is shown when it has ended."""
    print(f"== {step.name}", flush=True)
    begun = time.monotonic()
    with log.open("wb") if log else nullcontext() as output:
        done = subprocess.run(
            step.argv,
            env={**of_the_caller(), **step.environment},
            stdout=output,
            stderr=subprocess.STDOUT if log else None,
        )
    verdict = f"== {step.name}: {'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s"
    print(log.read_text() + verdict if log else verdict, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
