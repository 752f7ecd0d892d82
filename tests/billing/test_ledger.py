"""The ledger: grants, usage postings, and what the database refuses."""

import asyncio
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Organization
from billing import ledger
from billing.errors import Refused
from billing.models import LedgerEntry, LedgerTransaction, Wallet
from billing.till import Till
from tests.billing.conftest import Account, Book, used

ACCOUNTS = LedgerEntry.Account


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="test")


def entries(organization: Organization) -> dict[str, int]:
    rows = LedgerEntry.objects.filter(organization=organization).values_list("account", "amount")
    return dict(rows)


def test_a_grant_is_credit_with_its_reason(organization: Organization) -> None:
    posted = ledger.grant(organization, amount=1500, reason="welcome", reference="grant-1")
    assert (posted.kind, posted.reason) == ("grant", "welcome")
    assert entries(organization) == {"wallet": 1500, "grants": -1500}
    wallet = Wallet.objects.get(organization=organization)
    assert (wallet.credit, wallet.version, wallet.spendable) == (1500, 1, 1500)


def test_grants_add_up(organization: Organization) -> None:
    for amount in (1, 20, 300):
        ledger.grant(organization, amount=amount, reason="")
    assert Wallet.objects.get(organization=organization).credit == 321


@pytest.mark.parametrize("amount", [0, -1])
def test_a_grant_is_more_than_nothing(organization: Organization, amount: int) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        ledger.grant(organization, amount=amount, reason="")
    assert LedgerTransaction.objects.count() == 0


@pytest.mark.parametrize("amount", [-(10**9), 7])
def test_a_correction_goes_up_or_down_even_below_what_is_spent(organization: Organization, amount: int) -> None:
    posted = ledger.correct(organization, amount=amount, reason="typo", reference="form-1")
    assert (posted.kind, posted.reason) == ("correction", "typo")
    assert entries(organization) == {"wallet": amount, "corrections": -amount}
    wallet = Wallet.objects.get(organization=organization)
    assert (wallet.credit, wallet.version, wallet.spendable) == (amount, 1, amount)
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.correct(organization, amount=amount, reason="typo", reference="form-1")


def test_a_correction_of_nothing_is_refused(organization: Organization) -> None:
    with pytest.raises(ValueError, match="not be 0"):
        ledger.correct(organization, amount=0, reason="")
    assert LedgerTransaction.objects.count() == 0


@pytest.mark.parametrize(("answers", "posted"), [([1, 1], 1), ([200, 199, 1], 399)])
def test_posting_ends_while_settlements_go_on(db: None, answers: list[int], posted: int) -> None:
    """With the first call that takes less than it could: the last answer is not asked for."""
    asked = iter(answers)

    def answer(execute: Any, query: str, *others: Any) -> Any:
        return execute(f"SELECT {next(asked)}", *others)

    with connection.execute_wrapper(answer):
        assert ledger.post_usage() == posted
    assert list(asked) == [1]


def test_the_same_reference_is_posted_once(organization: Organization) -> None:
    ledger.grant(organization, amount=100, reason="", reference="payment-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.grant(organization, amount=100, reason="", reference="payment-1")
    assert Wallet.objects.get(organization=organization).credit == 100


def test_a_transaction_that_does_not_sum_to_zero_is_refused(organization: Organization) -> None:
    posted = LedgerTransaction.objects.create(kind="grant", organization=organization)
    ledger.post(posted, {ACCOUNTS.WALLET: 100, ACCOUNTS.GRANTS: -99})
    with pytest.raises(IntegrityError, match="does not sum to zero"):
        # The end of the transaction would ask this.
        connection.check_constraints()


@pytest.mark.parametrize("table", ["billing_ledgerentry", "billing_ledgertransaction"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_rows_are_never_changed_or_deleted(organization: Organization, table: str, statement: str) -> None:
    ledger.grant(organization, amount=100, reason="")
    connection.check_constraints()
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))
    assert entries(organization) == {"wallet": 100, "grants": -100}


# Usage


def posted(book: Book, account: Account) -> dict[str, int]:
    """The sums of the organization's usage entries by account."""
    rows = book.sql(
        "SELECT account, sum(amount)::bigint FROM billing_ledgerentry WHERE organization_id = %s GROUP BY account",
        (account.organization,),
    )
    return dict(rows)


def post(book: Book) -> int:
    return int(book.value("SELECT till_post()"))


async def spend(till: Till, account: Account, amount: int, *, held: int, cost: int) -> None:
    hold = await till.admit(account.organization, account.asks(held))
    await till.settle(hold, used(hold.generation, amount, cost=cost))


async def test_posting_moves_usage_into_the_ledger_once(till: Till, book: Book) -> None:
    account = book.account(1000)
    await spend(till, account, 300, held=300, cost=200)
    await spend(till, account, 150, held=150, cost=100)
    assert post(book) >= 1
    assert posted(book, account) == {"wallet": -450, "revenue": 450, "provider_cost": -300, "provider_payable": 300}
    wallet = book.wallet(account)
    assert (wallet.unposted_charge, wallet.unposted_cost, wallet.spent) == (0, 0, 450)
    assert post(book) == 0


async def test_what_is_written_off_is_revenue_that_nobody_paid(till: Till, book: Book) -> None:
    account = book.account(1000)
    await spend(till, account, 1200, held=800, cost=0)
    post(book)
    assert posted(book, account) == {"wallet": -1000, "write_off": -200, "revenue": 1200}


async def test_posting_beside_settlements_loses_and_doubles_nothing(till: Till, book: Book) -> None:
    accounts = [book.account(10**6) for _ in range(3)]

    async def keep_posting() -> None:
        async with await psycopg.AsyncConnection.connect(book.url, autocommit=True) as other:
            while True:
                await other.execute("SELECT till_post()")

    poster = asyncio.create_task(keep_posting())
    for _ in range(10):
        await asyncio.gather(*(spend(till, one, 7, held=10, cost=5) for one in accounts for _ in range(10)))
    poster.cancel()
    await asyncio.wait([poster])
    post(book)
    for account in accounts:
        assert book.wallet(account).spent == 700
        assert posted(book, account)["wallet"] == -700
    unbalanced = "SELECT 1 FROM billing_ledgerentry GROUP BY transaction_id HAVING sum(amount) <> 0"
    assert book.sql(unbalanced) == []


async def test_a_wallet_below_zero_admits_nothing_and_settles_what_is_open(till: Till, book: Book) -> None:
    account = book.account(1000)
    hold = await till.admit(account.organization, account.asks(400))
    # As `correct` does it, beside an open hold.
    book.sql("UPDATE billing_wallet SET credit = credit - 900 WHERE organization_id = %s", (account.organization,))
    with pytest.raises(Refused):
        await till.admit(account.organization, account.asks(0))
    await till.settle(hold, used(hold.generation, 500))
    wallet = book.wallet(account)
    assert (wallet.credit, wallet.spent, wallet.held, wallet.unposted_write_off) == (100, 400, 0, 100)


async def test_a_metered_wallet_is_never_refused_and_owes_what_it_used(till: Till, book: Book) -> None:
    account = book.account(0)
    book.sql("UPDATE billing_wallet SET billing = 'unlimited' WHERE organization_id = %s", (account.organization,))
    hold = await till.admit(account.organization, account.asks(400, least=100, share=2))
    assert hold.amount == 400
    assert (await till.settle(hold, used(hold.generation, 900))).charge == 900
    await till.admit(account.organization, account.asks(10))
    with pytest.raises(Refused):
        await till.admit(account.organization, account.asks(10, limit=909))
    post(book)
    assert posted(book, account)["wallet"] == -900
    book.sql("UPDATE billing_wallet SET billing = 'prepaid' WHERE organization_id = %s", (account.organization,))
    with pytest.raises(Refused):
        await till.admit(account.organization, account.asks(0))
