"""The till against a real PostgreSQL: what it grants, charges and refuses, also when things go wrong."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec import Raw

from accounts.ids import uuid7
from accounts.models import Window
from billing import till as till_module
from billing.errors import HoldGone, KeyRevoked, Refused, TillAway, TillError
from billing.holds import Hold
from billing.items import Result
from billing.lane import Waiting
from billing.link import Link
from billing.till import Till
from tests.billing.conftest import Account, Book, replaced, used

NewTill = Callable[[], Awaitable[Till]]


async def until(condition: Callable[[], bool], timeout: float = 5) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


# What is granted


@pytest.mark.parametrize(
    ("credit", "least", "want", "share", "granted"),
    [
        (1000, 10, 400, 1, 400),
        (1000, 10, 5000, 1, 1000),
        (1000, 10, 5000, 4, 250),
        (1000, 300, 5000, 4, 300),
        (1000, 10, 100, 4, 100),
        (1000, 1000, 1000, 4, 1000),
        (0, 0, 0, 1, 0),
    ],
)
async def test_grants_between_least_and_want_what_the_share_allows(
    till: Till, book: Book, credit: int, least: int, want: int, share: int, granted: int
) -> None:
    account = book.account(credit)
    hold = await till.admit(account.organization, account.asks(want, least=least, share=share))
    assert hold.amount == granted
    assert book.wallet(account).held == granted
    book.check(account)


async def test_refuses_what_credit_does_not_cover_and_says_what_is_free(till: Till, book: Book) -> None:
    account = book.account(1000)
    await till.admit(account.organization, account.asks(700))
    with pytest.raises(Refused) as caught:
        await till.admit(account.organization, account.asks(301))
    refusal = caught.value
    assert (refusal.by, refusal.least, refusal.free, refusal.held) == ("credits", 301, 300, 700)
    assert book.open_holds(account) == 1


async def test_an_organization_without_a_wallet_has_no_credit(till: Till, book: Book) -> None:
    account = book.account(0)
    book.sql("DELETE FROM billing_wallet WHERE organization_id = %s", (account.organization,))
    with pytest.raises(Refused):
        await till.admit(account.organization, account.asks(1))


async def test_below_zero_by_a_correction_nothing_is_admitted_not_even_for_free(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(900))
    await till.settle(hold, used(hold.generation, 900))
    book.sql("UPDATE billing_wallet SET credit = 500 WHERE organization_id = %s", (account.organization,))
    with pytest.raises(Refused):
        await till.admit(account.organization, account.asks(0))


async def test_amounts_below_zero_are_refused_and_hurt_nobody_else(till: Till, book: Book) -> None:
    account = book.account(1000)
    asked = [account.asks(10), account.asks(-5), account.asks(20)]
    results = await asyncio.gather(*(till.admit(account.organization, item) for item in asked), return_exceptions=True)
    assert [result.amount if isinstance(result, Hold) else type(result) for result in results] == [10, TillError, 20]
    assert book.wallet(account).held == 30


async def test_answers_find_their_question_across_organizations(till: Till, book: Book) -> None:
    accounts = [book.account(10_000) for _ in range(5)]
    random.shuffle(accounts)
    asked = [(account, amount) for amount in (1, 20, 300) for account in accounts]
    holds = await asyncio.gather(*(till.admit(account.organization, account.asks(want)) for account, want in asked))
    assert [hold.amount for hold in holds] == [want for _, want in asked]
    assert {book.wallet(account).held for account in accounts} == {321}


async def test_what_waits_goes_in_one_call(till: Till, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    account = book.account(10_000)
    sizes: list[int] = []
    call = till._lane.call

    async def counted(batch: list[Waiting]) -> list[tuple[Waiting, Result]]:
        sizes.append(len(batch))
        return await call(batch)

    monkeypatch.setattr(till._lane, "call", counted)
    await asyncio.gather(*(till.admit(account.organization, account.asks(1)) for _ in range(450)))
    assert sizes == [200, 200, 50]


# Keys and their limits


@pytest.mark.parametrize(
    "change",
    [
        "is_disabled = true",
        "is_management = true",
        "deleted_at = now()",
        "expires_at = now() - interval '1 second'",
        "id = gen_random_uuid()",
    ],
)
async def test_a_key_that_is_no_more_gets_no_hold(till: Till, book: Book, change: str) -> None:
    account = book.account(1000)
    book.sql(f"UPDATE accounts_apikey SET {change} WHERE id = %s", (account.key,))
    with pytest.raises(KeyRevoked):
        await till.admit(account.organization, account.asks(1))
    assert book.open_holds(account) == 0


async def test_a_revoked_key_beside_good_ones_in_a_batch(till: Till, book: Book) -> None:
    account, key = book.account(1000), uuid7()
    good, bad = account.asks(1), replaced(account.asks(1), key=key)
    results = await asyncio.gather(
        *(till.admit(account.organization, item) for item in (good, bad, account.asks(2))), return_exceptions=True
    )
    assert [type(result) for result in results] == [Hold, KeyRevoked, Hold]


async def test_a_keys_limit_counts_what_is_used_and_what_is_held(till: Till, book: Book) -> None:
    account = book.account(1_000_000)
    first = await till.admit(account.organization, account.asks(400, limit=1000))
    await till.settle(first, used(first.generation, 300))
    await till.admit(account.organization, account.asks(500, limit=1000))
    with pytest.raises(Refused) as caught:
        await till.admit(account.organization, account.asks(201, limit=1000))
    assert (caught.value.by, caught.value.free, caught.value.held) == (str(account.key), 200, 500)
    rest = await till.admit(account.organization, account.asks(900, least=10, limit=1000))
    assert rest.amount == 200
    book.check(account)


@pytest.mark.parametrize(("window", "unit"), [("daily", "day"), ("weekly", "week"), ("monthly", "month")])
async def test_a_limit_begins_anew_with_its_window(till: Till, book: Book, window: Window, unit: str) -> None:
    account = book.account(1_000_000)

    async def spend() -> None:
        hold = await till.admit(account.organization, account.asks(80, limit=100, window=window))
        await till.settle(hold, used(hold.generation, 80))

    await spend()
    with pytest.raises(Refused):
        await spend()
    book.sql(f"UPDATE billing_budget SET {unit} = {unit} - interval '1 {unit}' WHERE id = %s", (account.key,))
    await spend()
    begin = f"date_trunc('{unit}', now() AT TIME ZONE 'UTC')::date"
    query = f"SELECT used, used_{unit}, {unit} = {begin} FROM billing_budget WHERE id = %s"
    assert book.sql(query, (account.key,)) == [(160, 80, True)]


async def test_a_limit_without_window_never_begins_anew(till: Till, book: Book) -> None:
    account = book.account(1_000_000)
    hold = await till.admit(account.organization, account.asks(80, limit=100))
    await till.settle(hold, used(hold.generation, 80))
    book.sql("UPDATE billing_budget SET day = '2020-01-01', week = '2020-01-01', month = '2020-01-01'")
    with pytest.raises(Refused):
        await till.admit(account.organization, account.asks(80, limit=100))


# What is charged


async def test_a_settlement_charges_what_was_used_and_gives_the_rest_back(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    settled = await till.settle(hold, used(hold.generation, 150, cost=120))
    assert (settled.charge, settled.write_off) == (150, 0)
    wallet = book.wallet(account)
    assert (wallet.spent, wallet.held) == (150, 0)
    assert (wallet.unposted_charge, wallet.unposted_cost) == (150, 120)
    assert book.generation(hold.generation) == {
        "outcome": "ok",
        "charge": 150,
        "list_charge": 150,
        "cost": 120,
        "write_off": 0,
        "is_estimated": False,
        "requested_model": "acme/one",
        "model": "acme/one",
        "organization_id": account.organization,
    }
    book.check(account)


@pytest.mark.parametrize(
    ("amount", "charge", "write_off"), [(400, 400, 0), (700, 700, 0), (701, 700, 1), (10**15, 700, 10**15 - 700)]
)
async def test_what_exceeds_hold_and_free_credit_is_written_off(
    till: Till, book: Book, amount: int, charge: int, write_off: int
) -> None:
    account = book.account(1000)
    await till.admit(account.organization, account.asks(300))
    hold = await till.admit(account.organization, account.asks(400))
    settled = await till.settle(hold, used(hold.generation, amount))
    assert (settled.charge, settled.write_off) == (charge, write_off)
    row = book.generation(hold.generation)
    assert (row["charge"], row["write_off"]) == (charge, write_off)
    book.check(account)


async def test_a_negative_charge_is_refused_and_leaves_the_hold(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    with pytest.raises(TillError):
        await till.settle(hold, used(hold.generation, -1))
    assert book.wallet(account).held == 400


async def test_a_record_that_the_table_refuses_does_not_lose_the_charge(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    bad = Raw(b'{"outcome": "ok", "prompt_tokens": "many"}')
    assert (await till.settle(hold, used(hold.generation, 150, record=bad))).charge == 150
    assert book.generation(hold.generation)["outcome"] == "error"
    book.check(account)


# Repeated


async def test_a_repeated_admission_has_the_same_grant(till: Till, book: Book) -> None:
    account, generation = book.account(1000), uuid7()
    first = await till.admit(account.organization, account.asks(600, generation=generation))
    again = await till.admit(account.organization, account.asks(600, generation=generation))
    assert again.amount == first.amount == 600
    assert book.wallet(account).held == 600


async def test_a_repeated_settlement_says_what_it_closed_with(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    await till.settle(hold, used(hold.generation, 150))
    assert (await till.settle(hold, used(hold.generation, 160))).charge == 150
    assert book.wallet(account).spent == 150
    book.check(account)


async def test_a_settlement_without_a_hold_is_gone(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = Hold(uuid7(), account.organization, (account.key,), 100, 0.0)
    with pytest.raises(HoldGone):
        await till.settle(hold, used(hold.generation, 100))
    assert book.wallet(account).spent == 0


@pytest.mark.parametrize("seconds", [-310, 310])
async def test_an_id_off_the_tills_clock_is_refused(till: Till, book: Book, seconds: int) -> None:
    account = book.account(1000)
    moved = UUID(int=uuid7().int + (seconds * 1000 << 80))
    with pytest.raises(TillError, match="stale"):
        await till.admit(account.organization, account.asks(1, generation=moved))


# Many at once


async def test_200_at_once_from_several_processes_never_take_more_than_there_is(tills: NewTill, book: Book) -> None:
    account = book.account(1000)
    processes = [await tills() for _ in range(5)]
    asked = [(process, account.asks(10)) for process in processes for _ in range(40)]
    results = await asyncio.gather(
        *(process.admit(account.organization, item) for process, item in asked), return_exceptions=True
    )
    granted = [(asked[place][0], hold) for place, hold in enumerate(results) if isinstance(hold, Hold)]
    assert len(granted) == 100
    assert sum(isinstance(result, Refused) for result in results) == 100
    book.check(account)
    await asyncio.gather(*(process.settle(hold, used(hold.generation, 9)) for process, hold in granted))
    assert (book.wallet(account).spent, book.wallet(account).held) == (900, 0)
    book.check(account)


async def test_key_limits_hold_over_several_processes(tills: NewTill, book: Book) -> None:
    account = book.account(10**9)
    processes = [await tills() for _ in range(4)]
    results = await asyncio.gather(
        *(process.admit(account.organization, account.asks(10, limit=333)) for process in processes for _ in range(25)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Hold) for result in results) == 33


# Clients that leave


async def test_an_admission_whose_client_left_gives_its_hold_back(till: Till, book: Book) -> None:
    account = book.account(1000)
    await till.ping()
    asked = account.asks(400)
    with book.locked(account):
        task = asyncio.create_task(till.admit(account.organization, asked))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
    await until(lambda: book.generation(asked.generation) != {})
    assert book.generation(asked.generation)["outcome"] == "cancelled"
    wallet = book.wallet(account)
    assert (wallet.held, wallet.spent) == (0, 0)


async def test_a_client_that_leaves_just_when_the_hold_is_granted_gives_it_back(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = book.account(1000)
    resolve = till._resolve

    def resolve_and_leave(waiting: Waiting, result: Result) -> None:
        resolve(waiting, result)
        task.cancel()

    monkeypatch.setattr(till, "_resolve", resolve_and_leave)
    asked = account.asks(400)
    task = asyncio.create_task(till.admit(account.organization, asked))
    await asyncio.wait([task])
    assert task.cancelled()
    await until(lambda: book.generation(asked.generation) != {})
    assert book.wallet(account).held == 0


async def test_an_admission_whose_client_left_before_it_was_sent_is_not_sent(till: Till, book: Book) -> None:
    account, other = book.account(1000), book.account(1000)
    with book.locked(account):
        first = asyncio.create_task(till.admit(account.organization, account.asks(1)))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(till.admit(other.organization, other.asks(1)))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.wait([second])
    await first
    await till.admit(other.organization, other.asks(2))
    assert book.wallet(other).held == 2


async def test_a_settlement_whose_client_left_before_it_was_sent_is_sent_all_the_same(till: Till, book: Book) -> None:
    account, other = book.account(1000), book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    with book.locked(other):
        first = asyncio.create_task(till.admit(other.organization, other.asks(1)))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(till.settle(hold, used(hold.generation, 300)))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.wait([second])
    await first
    await until(lambda: book.generation(hold.generation) != {})
    assert book.generation(hold.generation)["charge"] == 300
    wallet = book.wallet(account)
    assert (wallet.held, wallet.spent) == (0, 300)


# Touch, tick, expire


def tick_on(book: Book, ticks: int) -> None:
    book.sql("UPDATE billing_tick SET value = value + %s", (ticks,))


def touch(book: Book, hold: Hold, progress: int, **more: int) -> list[tuple[Any, ...]]:
    notes = json.dumps([{"id": str(hold.generation), "progress": progress, **more}])
    return book.sql("SELECT till_touch(%s)", (notes,))


def expire(book: Book) -> int:
    return int(book.value("SELECT till_expire()"))


@pytest.fixture
def calm(book: Book) -> None:
    """No holds of other tests that could expire in this one."""
    book.sql("SELECT till_touch(jsonb_agg(jsonb_build_object('id', generation, 'progress', 0))) FROM billing_hold")
    tick_on(book, 12)
    while expire(book):
        pass


# A process of the release before notes no cost.
@pytest.mark.parametrize("more", [{}, {"cost": 35}, {"cost": 9000}])
@pytest.mark.parametrize(("progress", "charge"), [(0, 0), (70, 70), (4000, 400)])
async def test_a_hold_expires_after_12_ticks_at_what_was_noted(
    till: Till, book: Book, calm: None, progress: int, charge: int, more: dict[str, int]
) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    touch(book, hold, progress, **more)
    tick_on(book, 11)
    assert expire(book) == 0
    tick_on(book, 1)
    assert expire(book) == 1
    row = book.generation(hold.generation)
    cost = more.get("cost", progress)
    assert (row["outcome"], row["charge"], row["cost"], row["is_estimated"]) == ("expired", charge, cost, True)
    book.check(account)
    with pytest.raises(HoldGone):
        await till.settle(hold, used(hold.generation, 100))
    assert book.wallet(account).spent == charge


async def test_touching_puts_the_end_off_and_progress_only_grows(till: Till, book: Book, calm: None) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    for progress in (80, 50):
        tick_on(book, 10)
        assert touch(book, hold, progress) == []
    tick_on(book, 11)
    assert expire(book) == 0
    tick_on(book, 1)
    assert expire(book) == 1
    assert book.generation(hold.generation)["charge"] == 80


async def test_many_holds_of_many_organizations_expire(till: Till, book: Book, calm: None) -> None:
    accounts = [book.account(1000) for _ in range(6)]
    await asyncio.gather(*(till.admit(one.organization, one.asks(5)) for one in accounts for _ in range(100)))
    tick_on(book, 12)
    assert [expire(book), expire(book), expire(book)] == [500, 100, 0]
    for account in accounts:
        book.check(account)


async def test_an_admission_that_comes_again_after_its_settlement_costs_nothing_and_holds_up_nobody(
    till: Till, book: Book, calm: None
) -> None:
    account = book.account(1000)
    asked, other = account.asks(400), account.asks(100)
    await till.settle(await till.admit(account.organization, asked), used(asked.generation, 70))
    # As of a connection that had died with it on the way.
    late, beside = await till.admit(account.organization, asked), await till.admit(account.organization, other)
    touch(book, late, 50, cost=40)
    touch(book, beside, 30, cost=20)
    tick_on(book, 12)
    assert expire(book) == 1
    assert (book.generation(asked.generation)["charge"], book.generation(other.generation)["charge"]) == (70, 30)
    book.check(account)
    wallet = book.wallet(account)
    assert (wallet.held, wallet.spent) == (0, 100)


def test_a_tick_is_at_least_5_seconds_and_never_more_than_one(book: Book) -> None:
    def tick_after(seconds: int) -> int:
        book.sql("UPDATE billing_tick SET ticked_at = clock_timestamp() - %s * interval '1 second'", (seconds,))
        before = book.value("SELECT value FROM billing_tick")
        for _ in range(3):
            book.sql("SELECT till_tick()")
        return int(book.value("SELECT value FROM billing_tick")) - int(before)

    assert tick_after(0) == 0
    assert tick_after(4) == 0
    assert tick_after(6) == 1
    assert tick_after(3600) == 1
    # A clock that was set back must not stop the ticks.
    assert tick_after(-3600) == 1


async def test_the_client_touches_its_holds_and_hears_which_are_gone(till: Till, book: Book) -> None:
    account = book.account(1000)
    kept = await till.admit(account.organization, account.asks(100))
    lost = await till.admit(account.organization, account.asks(100))
    gone: list[UUID] = []
    kept.progress = lambda: (77, 70)
    kept.sent_at = lost.sent_at = 0.0
    lost.on_gone = lambda: gone.append(lost.generation)
    book.sql("DELETE FROM billing_hold WHERE generation = %s", (lost.generation,))
    till._schedule_touch()
    await until(lambda: bool(gone))
    assert book.sql("SELECT progress, cost FROM billing_hold WHERE generation = %s", (kept.generation,)) == [(77, 70)]
    assert kept.is_trusted(asyncio.get_running_loop().time())
    assert lost.sent_at == 0.0


async def test_a_settled_hold_is_not_touched_any_more(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(100))
    await till.settle(hold, used(hold.generation, 1))
    assert till.open_holds == 0


# Trouble with the connection


def terminate(book: Book, till: Till) -> None:
    assert till._lane._link is not None
    cut(book, till._lane._link)


def cut(book: Book, link: Link) -> None:
    book.sql("SELECT pg_terminate_backend(%s)", (link._pgconn.backend_pid,))


async def test_a_connection_lost_in_the_middle_of_a_settlement_charges_once(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    with book.locked(account):
        task = asyncio.create_task(till.settle(hold, used(hold.generation, 150)))
        await asyncio.sleep(0.1)
        terminate(book, till)
    await task
    await until(lambda: book.wallet(account).spent == 150)
    book.check(account)


@pytest.mark.parametrize("others", [0, 3])
async def test_an_answer_that_got_lost_after_the_commit_is_asked_for_again(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    account = book.account(1000)
    resolve = till._resolve
    lost = 0

    def lose_first(waiting: Waiting, result: Result) -> None:
        nonlocal lost
        lost += 1
        if lost in (1, 2):
            raise psycopg.OperationalError("the answer got lost")
        resolve(waiting, result)

    monkeypatch.setattr(till, "_resolve", lose_first)
    holds = await asyncio.gather(*(till.admit(account.organization, account.asks(100)) for _ in range(1 + others)))
    assert book.wallet(account).held == 100 * (1 + others)
    for hold in holds:
        assert (await till.settle(hold, used(hold.generation, 30))).charge == 30
    assert lost == 2 + others
    assert book.wallet(account).spent == 30 * (1 + others)
    book.check(account)


async def test_a_settlement_waits_a_moment_only_while_the_till_is_away(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    monkeypatch.setattr(till._lane, "conninfo", "host=/nowhere connect_timeout=1")
    terminate(book, till)
    began = time.monotonic()
    assert (await till.settle(hold, used(hold.generation, 150))).charge == 150
    assert time.monotonic() - began < 1
    assert book.wallet(account).spent == 0
    monkeypatch.undo()
    await until(lambda: book.wallet(account).spent == 150)
    book.check(account)


async def test_an_admission_gives_up_when_the_till_stays_away(
    till: Till, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = book.account(1000)
    await till.admit(account.organization, account.asks(1))
    monkeypatch.setattr(till_module, "ADMIT_PATIENCE_S", 0.5)
    monkeypatch.setattr(till._lane, "conninfo", "host=/nowhere connect_timeout=1")
    terminate(book, till)
    began = time.monotonic()
    asked = [till.admit(account.organization, account.asks(1)) for _ in range(3)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [TillAway] * 3
    assert 0.5 <= time.monotonic() - began < 1.5
    monkeypatch.undo()
    await till.admit(account.organization, account.asks(1))


async def one_request(till: Till, account: Account, chance: random.Random) -> tuple[UUID, int] | None:
    """A generation that was settled, and what its client was told."""
    asked = account.asks(chance.randrange(1, 50))
    try:
        admitted = till.admit(account.organization, asked)
        hold = await asyncio.wait_for(admitted, chance.choice([None, None, 0.01]))
    except (Refused, TimeoutError):
        return None
    await asyncio.sleep(chance.random() / 50)
    settled = await till.settle(hold, used(hold.generation, chance.randrange(2 * asked.want)))
    return hold.generation, settled.charge


async def test_killed_connections_and_clients_that_leave_neither_lose_nor_double_a_charge(
    tills: NewTill, book: Book
) -> None:
    chance = random.Random(7)
    accounts = [book.account(credit) for credit in (3_000, 10_000, 10**6)]
    processes = [await tills() for _ in range(3)]
    tasks: list[asyncio.Task[tuple[UUID, int] | None]] = []
    for turn in range(30):
        for _ in range(20):
            account = chance.choice(accounts)
            tasks.append(asyncio.create_task(one_request(chance.choice(processes), account, chance)))
        await asyncio.sleep(0.02)
        if turn % 5 == 4 and processes[turn % 3].is_connected:
            terminate(book, processes[turn % 3])
    told = [result for result in await asyncio.gather(*tasks) if result is not None]
    await until(lambda: not any(book.open_holds(account) for account in accounts))
    for generation, charge in told:
        row = book.generation(generation)
        # While the till was away the client was told the price, before credit was found not to cover all of it.
        assert row["outcome"] == "ok"
        assert charge in (row["charge"], row["charge"] + row["write_off"])
    settled = [generation for generation, _ in told]
    others = "SELECT coalesce(sum(charge), 0) FROM billing_generation WHERE organization_id = ANY(%s) AND id <> ALL(%s)"
    assert book.value(others, ([account.organization for account in accounts], settled)) == 0
    for account in accounts:
        book.check(account)
