"""The till's own database: organizations with credit, and the invariants that must hold at every moment."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec import Raw, Struct, structs

from accounts.ids import uuid7
from accounts.models import Window
from billing.items import Admit, Settle
from billing.till import Till
from tests.services import Servers

OPENING = Raw(b'{"requested_model": "acme/one", "created_at": "2026-01-01T00:00:00Z"}')
CLOSING = Raw(b'{"outcome": "ok", "model": "acme/one"}')


class Account(Struct, frozen=True):
    """An organization and its key."""

    organization: UUID
    key: UUID

    def asks(
        self,
        want: int,
        *,
        least: int | None = None,
        share: int = 1,
        limit: int | None = None,
        window: Window | None = None,
        generation: UUID | None = None,
    ) -> Admit:
        return Admit(
            generation=generation or uuid7(),
            key=self.key,
            least=want if least is None else least,
            want=want,
            share=share,
            budgets=(self.key,),
            limits=(limit,),
            windows=(window,),
            record=OPENING,
        )


def used(generation: UUID, amount: int, *, cost: int | None = None, record: Raw = CLOSING) -> Settle:
    return Settle(generation, amount, amount, amount if cost is None else cost, record)


class Wallet(Struct, frozen=True):
    credit: int
    spent: int
    held: int
    unposted_charge: int
    unposted_cost: int
    unposted_write_off: int


class Book:
    """SQL on a database of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(query.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        return self.sql(query, parameters)[0][0]

    def account(self, credit: int) -> Account:
        organization, key = uuid7(), uuid7()
        self.sql(
            "INSERT INTO accounts_organization (id, name, is_personal, created_at) VALUES (%s, 'test', false, now())",
            (organization,),
        )
        self.sql(
            "INSERT INTO accounts_apikey (id, organization_id, name, label, hash, is_management, is_disabled,"
            " limit_reset, created_at, updated_at) VALUES (%s, %s, '', '', %s, false, false, '', now(), now())",
            (key, organization, key.hex),
        )
        self.sql("INSERT INTO billing_wallet (organization_id, credit) VALUES (%s, %s)", (organization, credit))
        return Account(organization, key)

    def wallet(self, account: Account) -> Wallet:
        columns = ", ".join(Wallet.__struct_fields__)
        return Wallet(
            *self.sql(f"SELECT {columns} FROM billing_wallet WHERE organization_id = %s", (account.organization,))[0]
        )

    def generation(self, id: UUID) -> dict[str, Any]:
        names = "outcome, charge, list_charge, cost, write_off, is_estimated, requested_model, model, organization_id"
        row = self.sql(f"SELECT {names} FROM billing_generation WHERE id = %s", (id,))
        return dict(zip(names.split(", "), row[0], strict=True)) if row else {}

    def open_holds(self, account: Account) -> int:
        return int(self.value("SELECT count(*) FROM billing_hold WHERE organization_id = %s", (account.organization,)))

    def check(self, account: Account) -> None:
        """Invariants of one wallet: nothing below zero, sums that agree with holds and closing records."""
        wallet = self.wallet(account)
        held, charged, written_off = self.sql(
            "SELECT (SELECT coalesce(sum(wallet_amount), 0) FROM billing_hold WHERE organization_id = %(id)s),"
            " (SELECT coalesce(sum(charge), 0) FROM billing_generation WHERE organization_id = %(id)s),"
            " (SELECT coalesce(sum(write_off), 0) FROM billing_generation WHERE organization_id = %(id)s)",
            {"id": account.organization},  # type: ignore[arg-type]
        )[0]
        assert (wallet.held, wallet.spent, wallet.unposted_write_off) == (held, charged, written_off)
        assert wallet.credit - wallet.spent - wallet.held >= 0
        assert wallet.held >= 0
        key_held, key_used = self.sql("SELECT held, used FROM billing_budget WHERE id = %s", (account.key,))[0]
        assert (key_held, key_used) == (held, charged + written_off)

    @contextmanager
    def locked(self, account: Account) -> Iterator[None]:
        """Nobody gets at the wallet meanwhile."""
        with psycopg.connect(self.url) as other:
            other.execute("SELECT FROM billing_wallet WHERE organization_id = %s FOR UPDATE", (account.organization,))
            yield

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="session")
def book(servers: Servers) -> Iterator[Book]:
    book = Book(servers.new_database())
    yield book
    book.close()


@pytest.fixture
async def tills(book: Book) -> AsyncIterator[Callable[[], Awaitable[Till]]]:
    """Starts a till's client, as every process has one."""
    async with AsyncExitStack() as stack:

        async def start() -> Till:
            till = Till(book.url)
            await till.start()
            stack.push_async_callback(till.close, 2)
            return till

        yield start


@pytest.fixture
async def till(tills: Callable[[], Awaitable[Till]]) -> Till:
    return await tills()


def replaced(item: Admit, **changes: Any) -> Admit:
    return structs.replace(item, **changes)
