"""`python -m bench.till`: how many holds a second are opened and settled, and what one costs. On a quiet machine.

On the event loop of the gateway's processes (gateway/serve.py).
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import django
import psycopg
import uvloop
from msgspec import Raw

from bench.stack import Stack
from gateway.local import places, postgres, secret_values
from gateway.local.environment import ROOT

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

from accounts.ids import uuid7  # noqa: E402
from billing.items import Admit, Settle  # noqa: E402
from billing.till import Till  # noqa: E402

RECORD = Raw(b'{"requested_model": "bench/one", "created_at": "2026-01-01T00:00:00Z"}')
CLOSING = Raw(b'{"outcome": "ok", "model": "bench/one"}')
WALLETS = 50
Account = tuple[UUID, UUID]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.till", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="turnpike-till-", dir="/tmp"))
    directory.chmod(0o755)
    with Stack(directory) as stack:
        url = database(stack)
        many = [account(url) for _ in range(WALLETS)]
        pairs, cpu_us = uvloop.run(load(url, many, 64, options.seconds))
        print(f"one process, {WALLETS} wallets, 64 open: {pairs:8.0f} pairs/s, {cpu_us:5.1f} µs CPU a pair")
        print(f"four processes, one wallet:       {hot(url, many[0], options.seconds):8.0f} pairs/s")
        print(f"admit alone, p50:                 {uvloop.run(alone(url, many[0])):8.2f} ms")


def database(stack: Stack) -> str:
    """A migrated one, with the durable settings of `bin/run`."""
    data = stack.directory / "data"
    places.make_data_directory(data)
    server = postgres.open_cluster(data, places.runtime_directory(data))
    process = stack.run(server.command())
    server.wait(lambda: process.poll() is None)
    server.create_database()
    env = {**os.environ, **secret_values.generate(), "DATABASE_URL": server.url(), "REDIS_URL": "redis://127.0.0.1:9"}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=env, check=True)
    return server.url()


def account(url: str) -> Account:
    organization, key = uuid7(), uuid7()
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO accounts_organization (id, name, is_personal, created_at) VALUES (%s, '', false, now())",
            (organization,),
        )
        connection.execute(
            "INSERT INTO accounts_apikey (id, organization_id, name, label, hash, is_management, is_disabled,"
            " limit_reset, created_at, updated_at) VALUES (%s, %s, '', '', %s, false, false, '', now(), now())",
            (key, organization, key.hex),
        )
        connection.execute(
            "INSERT INTO billing_wallet (organization_id, credit) VALUES (%s, %s)", (organization, 10**15)
        )
    return organization, key


async def pair(till: Till, of: Account) -> None:
    organization, key = of
    asked = Admit(uuid7(), key, 1000, 1000, 1, (key,), (None,), (None,), RECORD)
    hold = await till.admit(organization, asked)
    await till.settle(hold, Settle(asked.generation, 700, 700, 700, CLOSING))


async def load(url: str, accounts: list[Account], at_once: int, seconds: float) -> tuple[float, float]:
    """Pairs a second, and µs of this process's CPU for each."""
    till = Till(url)
    await till.start()
    done = 0
    end = time.monotonic() + seconds

    async def client(place: int) -> None:
        nonlocal done
        while time.monotonic() < end:
            await pair(till, accounts[(place + done) % len(accounts)])
            done += 1

    await pair(till, accounts[0])
    cpu = time.process_time()
    await asyncio.gather(*(client(place) for place in range(at_once)))
    cpu = time.process_time() - cpu
    await till.close(5)
    return done / seconds, cpu / done * 1e6


def hot(url: str, of: Account, seconds: float) -> float:
    forks = multiprocessing.get_context("fork")
    told: multiprocessing.Queue[float] = forks.Queue()
    processes = [forks.Process(target=lambda: told.put(uvloop.run(load(url, [of], 64, seconds))[0])) for _ in range(4)]
    for process in processes:
        process.start()
    return sum(told.get() for _ in processes)


async def alone(url: str, of: Account) -> float:
    till = Till(url)
    await till.start()
    times = []
    for _ in range(500):
        began = time.perf_counter()
        await pair(till, of)
        times.append(time.perf_counter() - began)
    await till.close(5)
    # An admission and a settlement are a call each.
    return statistics.median(times) / 2 * 1000


if __name__ == "__main__":
    main()
