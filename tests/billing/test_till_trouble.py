"""One wallet's trouble is nobody else's; what was given up leaves no hold; one bad hold stops no other's end."""

import asyncio
import time

import psycopg
import pytest

from billing import till as till_module
from billing.errors import TillAway
from billing.till import Till
from tests.billing.conftest import Book, used
from tests.billing.test_till import terminate, tick_on, until


async def test_a_locked_wallet_holds_up_nobody_else(till: Till, book: Book) -> None:
    locked, other = book.account(1000), book.account(10**6)
    hold = await till.admit(locked.organization, locked.asks(100))
    with book.locked(locked):
        settling = asyncio.create_task(till.settle(hold, used(hold.generation, 70)))
        waiting = [asyncio.create_task(till.admit(locked.organization, locked.asks(1))) for _ in range(20)]
        await asyncio.sleep(0.7)
        began = time.monotonic()
        for _ in range(30):
            one = await till.admit(other.organization, other.asks(10))
            await till.settle(one, used(one.generation, 10))
        # The lock lasts; each of these would have waited for it half a second and more.
        assert time.monotonic() - began < 5
        assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)
    await settling
    await until(lambda: book.wallet(locked).spent == 70)
    assert (book.wallet(locked).held, book.wallet(other).spent) == (20, 300)
    book.check(locked)
    book.check(other)


async def test_admissions_for_a_locked_wallet_give_up_and_leave_no_hold(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(till_module, "ADMIT_PATIENCE_S", 0.3)
    account = book.account(1000)
    with book.locked(account), pytest.raises(TillAway):
        await till.admit(account.organization, account.asks(100))
    assert book.open_holds(account) == 0


async def test_an_admission_given_up_after_it_was_sent_is_closed_when_the_till_is_back(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = book.account(1000)
    asked = account.asks(400)
    monkeypatch.setattr(till_module, "ADMIT_PATIENCE_S", 0.6)
    call = till._lane.call

    async def lose(*waiting: object) -> object:
        await call(*waiting)  # type: ignore[arg-type]
        monkeypatch.setattr(till._lane, "call", call)
        monkeypatch.setattr(till._lane, "conninfo", "host=/nowhere connect_timeout=1")
        till._lane.close()
        raise psycopg.OperationalError("the answer got lost")

    conninfo = till._lane.conninfo
    monkeypatch.setattr(till._lane, "call", lose)
    with pytest.raises(TillAway):
        await till.admit(account.organization, asked)
    assert book.open_holds(account) == 1
    monkeypatch.setattr(till._lane, "conninfo", conninfo)
    await until(lambda: book.open_holds(account) == 0)
    assert book.generation(asked.generation)["outcome"] == "cancelled"
    assert book.wallet(account).held == 0


async def test_a_connection_lost_while_others_wait_loses_nothing(till: Till, book: Book) -> None:
    account = book.account(10_000)
    holds = [await till.admit(account.organization, account.asks(10)) for _ in range(20)]
    with book.locked(account):
        tasks = [asyncio.create_task(till.settle(hold, used(hold.generation, 7))) for hold in holds]
        await asyncio.sleep(0.1)
        terminate(book, till)
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
    await until(lambda: book.wallet(account).spent == 140)
    book.check(account)


@pytest.mark.parametrize("record", ["{}", '{"created_at": "someday"}', '{"requested_model": 1, "user_agent": "%s"}'])
async def test_a_hold_with_a_record_that_cannot_be_read_expires_with_the_others(
    till: Till, book: Book, record: str
) -> None:
    bad, good = book.account(1000), book.account(1000)
    holds = [await till.admit(account.organization, account.asks(100)) for account in (bad, good)]
    for hold in holds:
        till._open.pop(hold.generation)
    text = record.replace("%s", "x" * 501)
    book.sql("UPDATE billing_hold SET record = %s WHERE generation = %s", (text, holds[0].generation))
    tick_on(book, 12)
    while book.value("SELECT till_expire()"):
        pass
    assert [book.generation(hold.generation)["outcome"] for hold in holds] == ["expired", "expired"]
    book.check(bad)
