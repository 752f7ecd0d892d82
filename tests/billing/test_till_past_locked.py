"""Posting and expiry take what nobody else has locked, wait for nothing, and keep nobody waiting."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from billing.till import Till
from tests.billing.conftest import Account, Book, used
from tests.billing.test_till import tick_on, until

# Far less than the till's own patience with a lock.
PROMPTLY_S = 3


async def run(book: Book, function: str) -> None:
    """By another connection, as a worker does."""

    def call() -> None:
        with psycopg.connect(book.url) as worker:
            worker.execute(f"SELECT {function}()".encode())

    await asyncio.wait_for(asyncio.to_thread(call), PROMPTLY_S)


async def check_nobody_waits(till: Till, book: Book, function: str, free: Account) -> None:
    working = asyncio.create_task(run(book, function))
    await asyncio.sleep(0.2)
    hold = await asyncio.wait_for(till.admit(free.organization, free.asks(10)), PROMPTLY_S)
    await till.settle(hold, used(hold.generation, 0))
    await working


@contextmanager
def hold_locked(book: Book, account: Account) -> Iterator[None]:
    with psycopg.connect(book.url) as other:
        other.execute("SELECT FROM billing_hold WHERE organization_id = %s FOR UPDATE", (account.organization,))
        yield


async def test_posting_leaves_a_locked_wallet_to_the_next_run(till: Till, book: Book) -> None:
    free, locked = book.account(1000), book.account(1000)
    for account in (free, locked):
        hold = await till.admit(account.organization, account.asks(100))
        await till.settle(hold, used(hold.generation, 70))
        await until(lambda account=account: book.wallet(account).unposted_charge == 70)  # type: ignore[misc]
    with book.locked(locked):
        await check_nobody_waits(till, book, "till_post", free)
        assert [book.wallet(account).unposted_charge for account in (free, locked)] == [0, 70]
    await run(book, "till_post")
    assert book.wallet(locked).unposted_charge == 0


@pytest.mark.parametrize("lock", [Book.locked, hold_locked], ids=["wallet", "hold"])
async def test_expiry_leaves_what_is_locked_to_the_next_run(till: Till, book: Book, lock: object) -> None:
    free, locked = book.account(1000), book.account(1000)
    for account in (free, locked):
        hold = await till.admit(account.organization, account.asks(100))
        # As of a process that died.
        till._open.pop(hold.generation)
    tick_on(book, 12)
    with lock(book, locked):  # type: ignore[operator]
        await check_nobody_waits(till, book, "till_expire", free)
        assert [book.open_holds(account) for account in (free, locked)] == [0, 1]
    await run(book, "till_expire")
    assert book.open_holds(locked) == 0
    book.check(free)
    book.check(locked)
