"""One wallet's trouble is nobody else's; what was given up leaves no hold; one bad hold stops no other's end."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from billing import siding as siding_module
from billing import till as till_module
from billing.errors import TillAway
from billing.till import Till
from tests.billing.conftest import Book, used
from tests.billing.test_till import cut, expire, terminate, tick_on, until


@contextmanager
def read_only(book: Book, till: Till) -> Iterator[None]:
    """As after a failover to a standby: whoever connects can read and no more."""
    database = sql.Identifier(book.value("SELECT current_database()")).as_string()
    book.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        for lane in (till._lane, till._siding.lane):
            if lane._link is not None:
                cut(book, lane._link)
        yield
    finally:
        book.sql(f"ALTER DATABASE {database} RESET default_transaction_read_only")


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


async def test_the_hold_of_a_kept_settlement_does_not_expire(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siding_module, "TOUCH_INTERVAL_S", 0.1)
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(100))

    def due() -> int:
        return int(book.value("SELECT due_tick FROM billing_hold WHERE generation = %s", (hold.generation,)))

    with book.locked(account):
        assert (await till.settle(hold, used(hold.generation, 70))).charge == 70
        for _ in range(2):
            before = due()
            tick_on(book, 11)
            await until(lambda before=before: due() > before)  # type: ignore[misc]
        expiring = asyncio.create_task(asyncio.to_thread(expire, book))
        await asyncio.sleep(0.2)
    await expiring
    await until(lambda: book.open_holds(account) == 0)
    assert (book.generation(hold.generation)["outcome"], book.wallet(account).spent) == ("ok", 70)
    book.check(account)


async def test_an_answer_that_went_out_and_cannot_be_charged_is_told(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # So that the hold expires between two tries.
    monkeypatch.setattr(siding_module, "RETRY_S", 1.0)
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(100))
    with book.locked(account):
        await till.settle(hold, used(hold.generation, 70))
    tick_on(book, 12)
    while expire(book):
        pass
    await until(lambda: not till._siding)
    assert book.wallet(account).spent == 0
    assert f"{hold.generation} was answered, but its hold expired" in caplog.text


@pytest.mark.parametrize("is_locked", [False, True])
async def test_a_server_that_can_only_be_read_is_as_good_as_away(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    if is_locked:
        with book.locked(account):
            await till.settle(hold, used(hold.generation, 150))
    with read_only(book, till):
        if not is_locked:
            assert (await till.settle(hold, used(hold.generation, 150))).charge == 150
        monkeypatch.setattr(till_module, "ADMIT_PATIENCE_S", 0.4)
        with pytest.raises(TillAway):
            await till.admit(account.organization, account.asks(1))
        await asyncio.sleep(0.6)
    monkeypatch.undo()
    await until(lambda: book.wallet(account).spent == 150)
    assert book.generation(hold.generation)["outcome"] == "ok"
    await till.admit(account.organization, account.asks(1))
    book.check(account)


async def test_touching_a_server_that_can_only_be_read_connects_again(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(till_module, "TOUCH_RETRY_S", 0.1)
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    with read_only(book, till):
        till._schedule_touch()
        await asyncio.sleep(0.5)
        hold.sent_at = 0.0
    await until(lambda: hold.sent_at > 0)


async def test_what_costs_nothing_does_not_wait_for_a_till_that_is_away_for_long(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    with monkeypatch.context() as away:
        away.setattr(till._lane, "conninfo", "host=/nowhere connect_timeout=1")
        terminate(book, till)
        hold.sent_at -= 41
        async with asyncio.timeout(2):
            assert (await till.settle(hold, used(hold.generation, 0))).charge == 0
    await until(lambda: book.open_holds(account) == 0)
    book.check(account)


async def test_a_touch_that_fails_by_a_fault_of_ours_does_not_end_the_till(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    hold.progress = lambda: 1 / 0  # type: ignore[assignment, return-value]
    till._schedule_touch()
    await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        await till.settle(hold, used(hold.generation, 150))
    assert book.wallet(account).spent == 150
