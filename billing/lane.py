"""One connection to the till, and how what waits goes through it: a whole batch, or an organization at a time."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

import msgspec
import psycopg

from billing.errors import TillError
from billing.items import Admit, Item, Result, Settle
from billing.link import Link

STATEMENTS = {"till (jsonb)": "SELECT till($1)::text", "touch (jsonb)": "SELECT till_touch($1)::text"}
SESSION = "-c statement_timeout=4s -c lock_timeout=500ms -c synchronous_commit=on"

# How often the till is told of all holds that their process lives.
TOUCH_INTERVAL_S = 10.0
TOUCH_RETRY_S = 1.0

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(list[Result]).decode


class Waiting:
    """An item and who waits for its result."""

    __slots__ = ("budgets", "deadline", "future", "item", "organization", "sent_at", "trusted_until")

    def __init__(
        self,
        organization: UUID,
        budgets: tuple[UUID, ...],
        item: Item,
        future: asyncio.Future[Result],
        deadline: float | None,
    ) -> None:
        self.organization = organization
        self.budgets = budgets
        self.item = item
        self.future = future
        # A settlement has none: nobody else closes its hold.
        self.deadline = deadline
        self.sent_at: float | None = None
        self.trusted_until = 0.0

    def resolve(self, result: Result) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: TillError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Lane:
    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self._link: Link | None = None

    @property
    def is_connected(self) -> bool:
        return self._link is not None and self._link.is_open

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    async def connected(self) -> Link:
        if self._link is None or not self._link.is_open:
            self._link = None
            self._link = await Link.connect(self.conninfo, SESSION, STATEMENTS)
        return self._link

    async def call(self, batch: list[Waiting]) -> list[tuple[Waiting, Result]]:
        """Carries out all of the batch in one transaction, or nothing. Raises psycopg.Error."""
        link = await self.connected()
        parts: dict[UUID, list[Waiting]] = {}
        for waiting in batch:
            parts.setdefault(waiting.organization, []).append(waiting)
        # Sorted, so that two processes lock wallets in one order.
        ordered = [parts[organization] for organization in sorted(parts)]
        now = asyncio.get_running_loop().time()
        for waiting in batch:
            waiting.sent_at = waiting.sent_at or now
        payload = encode(
            [
                {
                    "organization": part[0].organization,
                    "budgets": {budget for waiting in part for budget in waiting.budgets},
                    "items": [waiting.item for waiting in part],
                }
                for part in ordered
            ]
        )
        rows = await self._ask(link, "till", payload)
        results = decode(rows[0] or b"[]")
        flat = [waiting for part in ordered for waiting in part]
        return list(zip(flat, results, strict=True))

    async def touch(self, notes: Iterable[tuple[UUID, int, int]]) -> set[UUID]:
        """Notes of holds their progress and cost so far, and puts their end off. Returns those that are gone.

        Raises psycopg.Error.
        """
        payload = encode([{"id": id, "progress": progress, "cost": cost} for id, progress, cost in notes])
        rows = await self._ask(await self.connected(), "touch", payload)
        return {UUID(bytes(row or b"").decode()) for row in rows}

    async def _ask(self, link: Link, statement: str, payload: bytes) -> list[bytes | None]:
        try:
            return await link.call(statement, [payload])
        except psycopg.errors.ReadOnlySqlTransaction as error:
            # A standby, or a server without room: as good as away. Connecting again may find the primary.
            self.close()
            raise psycopg.OperationalError(str(error)) from error


def is_settlement(waiting: Waiting) -> bool:
    return isinstance(waiting.item, Settle)


def may_hold(waiting: Waiting) -> bool:
    """Whether it may have opened a hold that its caller does not know of."""
    return isinstance(waiting.item, Admit) and waiting.sent_at is not None
