"""Eight processes, two thousand requests at once, one wallet: never one nano-dollar more than it has."""

import asyncio
import contextlib
import multiprocessing
import time

import psycopg
import pytest

from billing.errors import Refused, TillAway
from billing.till import Till
from tests.billing.conftest import Account, Book, used

PROCESSES = 8
REQUESTS = 250
CREDIT = 200_000
# They have loaded everything that they need: starting them takes no time.
FORKS = multiprocessing.get_context("fork")


def process(url: str, account: Account, told: "multiprocessing.Queue[tuple[int, int]]") -> None:
    told.put(asyncio.run(ask(url, account)))


async def ask(url: str, account: Account) -> tuple[int, int]:
    """What was charged, and how many were refused, of REQUESTS that all ask at once."""
    till = Till(url)
    await till.start()

    async def one(place: int) -> int | None:
        try:
            hold = await till.admit(account.organization, account.asks(500 + place, least=100, share=4))
        except (Refused, TillAway):
            return None
        with contextlib.suppress(Refused, TillAway):
            await hold.extend(hold.amount + 1, hold.amount + 300)
        return (await till.settle(hold, used(hold.generation, place * 7))).charge

    found = await asyncio.gather(*(one(place) for place in range(REQUESTS)))
    await till.close(30)
    return sum(charge for charge in found if charge), sum(charge is None for charge in found)


@pytest.mark.alone
@pytest.mark.slow
def test_thousands_at_once_from_eight_processes_take_no_more_than_there_is(book: Book) -> None:
    account = book.account(CREDIT)
    told: multiprocessing.Queue[tuple[int, int]] = FORKS.Queue()
    processes = [FORKS.Process(target=process, args=(book.url, account, told)) for _ in range(PROCESSES)]
    for one in processes:
        one.start()
    lowest, query = CREDIT, "SELECT credit - spent - held FROM billing_wallet WHERE organization_id = %s"
    with psycopg.connect(book.url, autocommit=True) as watcher:
        while any(one.is_alive() for one in processes) and told.qsize() < PROCESSES:
            row = watcher.execute(query, (account.organization,)).fetchone()
            lowest = min(lowest, row[0] if row else -1)
            time.sleep(0.005)
    results = [told.get(timeout=10) for _ in processes]
    for one in processes:
        one.join()
    assert lowest >= 0
    assert sum(refused for _, refused in results) > 0, "the wallet was never in danger"
    wallet = book.wallet(account)
    assert wallet.held == 0
    assert 0 < wallet.spent <= CREDIT
    book.check(account)
