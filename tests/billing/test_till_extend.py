"""Holds that grow: what an extension takes, refuses and repeats."""

import asyncio

import pytest

from billing.errors import HoldGone, Refused
from billing.holds import Hold
from billing.till import Till
from tests.billing.conftest import Account, Book, used


async def admitted(till: Till, account: Account, amount: int, limit: int | None = None) -> Hold:
    return await till.admit(account.organization, account.asks(amount, limit=limit))


@pytest.mark.parametrize(
    ("least", "want", "amount"), [(450, 700, 700), (450, 5000, 1000), (1000, 1000, 1000), (500, 450, 500)]
)
async def test_an_extension_takes_what_is_wanted_as_far_as_credit_goes(
    till: Till, book: Book, least: int, want: int, amount: int
) -> None:
    account = book.account(1000)
    hold = await admitted(till, account, 400)
    await hold.extend(least, want)
    assert hold.amount == amount == book.wallet(account).held
    book.check(account)
    await till.settle(hold, used(hold.generation, 333))
    assert book.wallet(account).held == 0
    book.check(account)


async def test_what_credit_does_not_cover_is_refused_and_the_hold_stays(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await admitted(till, account, 400)
    await admitted(till, account, 300)
    with pytest.raises(Refused) as caught:
        await hold.extend(701, 900)
    assert (caught.value.by, caught.value.least, caught.value.free, caught.value.held) == ("credits", 301, 300, 700)
    assert hold.amount == 400
    await hold.extend(700, 900)
    assert hold.amount == 700
    book.check(account)


async def test_a_limit_cuts_an_extension_and_refuses_it(till: Till, book: Book) -> None:
    account = book.account(10_000)
    spent = await admitted(till, account, 100)
    await till.settle(spent, used(spent.generation, 100))
    hold = await admitted(till, account, 400, limit=1000)
    await hold.extend(401, 5000)
    assert hold.amount == 900
    with pytest.raises(Refused) as caught:
        await hold.extend(901, 5000)
    assert caught.value.by == str(account.key)
    book.check(account)


async def test_a_repeated_extension_takes_no_more(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await admitted(till, account, 400)
    for _ in range(3):
        await till.extend(hold, 500, 600)
    assert (hold.amount, book.wallet(account).held) == (600, 600)
    await till.extend(hold, 100, 200)
    assert (hold.amount, book.wallet(account).held) == (600, 600)
    book.check(account)


async def test_what_is_closed_is_not_extended(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await admitted(till, account, 400)
    await till.settle(hold, used(hold.generation, 100))
    with pytest.raises(HoldGone):
        await hold.extend(500, 600)
    assert book.wallet(account).held == 0
    book.check(account)


async def test_extensions_at_the_same_moment_never_take_more_than_there_is(till: Till, book: Book) -> None:
    account = book.account(1000)
    holds = [await admitted(till, account, 10) for _ in range(50)]
    results = await asyncio.gather(*(hold.extend(30, 30) for hold in holds), return_exceptions=True)
    assert sum(isinstance(result, Refused) for result in results) == 25
    assert book.wallet(account).held == 1000
    book.check(account)
