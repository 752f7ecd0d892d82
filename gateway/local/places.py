"""Where the local servers keep things: the data directory, a short private directory for sockets, and private files."""

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import IO


class Problem(Exception):
    """Why the local default cannot start, in one line for the person who started it."""


def make_data_directory(data: Path) -> None:
    """As root others may pass through (never list), because PostgreSQL runs as another user below it."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise Problem(f"cannot make the data directory {data}: {error.strerror}") from error


def lock(data: Path) -> IO[str]:
    """Holds the data directory until the file is closed or the process ends, however it ends."""
    try:
        held = (data / "lock").open("a+")
    except OSError as error:
        raise Problem(f"cannot write in {data}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.seek(0)
        holder = held.read().strip()
        held.close()
        raise Problem(f"{data} is in use by another bin/run (pid {holder}); DATA_DIR=… names another") from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def runtime_directory(data: Path) -> Path:
    """A directory for unix sockets: their paths may have 107 bytes, which a data directory's own path may exceed."""
    directory = Path(f"/tmp/turnpike-{os.geteuid()}-{short_hash(data)}")
    # Root's servers run as different users; each has a private directory of its own below.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    directory.mkdir(mode=mode, exist_ok=True)
    found = directory.lstat()
    # /tmp is everybody's: somebody else may have made the directory first, to read along.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o066:
        raise Problem(f"{directory} is not a private directory of this user; remove it")
    return directory


def short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, readable by its owner only from its first byte."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
