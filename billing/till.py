"""The till's client: what all requests of this process want of PostgreSQL goes in one call at a time.

There is no timer: what arrives while a call is in flight is the next batch. Every item may be repeated (till.sql), so a
lost connection repeats the whole batch and a failed batch is repeated item by item.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct

from accounts.models import Window
from billing.errors import HoldGone, KeyRevoked, Refused, TillAway, TillError
from billing.link import Link

logger = logging.getLogger(__name__)

BATCH_ITEMS = 200
TOUCH_INTERVAL_S = 10.0
# A hold expires 60 s after its last touch at the earliest; after this long without one the answer must stop.
TRUSTED_S = 40.0
ADMIT_PATIENCE_S = 5.0
# Also how long a complete answer waits for its settlement while the till is away.
RECONNECT_S = 0.25
BARE_RECORD = msgspec.Raw(b'{"outcome": "error"}')
CANCELLED_RECORD = msgspec.Raw(b'{"outcome": "cancelled"}')
STATEMENTS = {"till (jsonb)": "SELECT till($1)::text", "touch (jsonb)": "SELECT till_touch($1)::text"}
SESSION = "-c statement_timeout=4s -c lock_timeout=500ms -c synchronous_commit=on"


class Admit(Struct, frozen=True, tag_field="op", tag="admit"):
    """Asks for a hold of `want`, at least `least`, nano-USD; in between, one `share`-th of what is free.

    `limits` (nano-USD) and `windows` stand beside their budgets; None only counts.
    """

    generation: UUID
    key: UUID
    least: int
    want: int
    share: int
    budgets: tuple[UUID, ...]
    limits: tuple[int | None, ...]
    windows: tuple[Window | None, ...]
    record: msgspec.Raw


class Settle(Struct, frozen=True, tag_field="op", tag="settle"):
    """Closes a hold: `charge` is the wallet's, `list` the budgets', `cost` ours upstream; nano-USD."""

    generation: UUID
    charge: int
    list: int
    cost: int
    record: msgspec.Raw


class Result(Struct, frozen=True):
    status: Literal["granted", "refused", "revoked", "stale", "done", "gone"]
    amount: int = 0
    charge: int = 0
    write_off: int = 0
    by: str = ""
    free: int = 0
    held: int = 0


class Hold:
    """An open hold of this process: the right to charge, as long as it is touched in time."""

    __slots__ = ("amount", "budgets", "generation", "on_gone", "organization", "progress", "sent_at")

    def __init__(self, generation: UUID, organization: UUID, budgets: tuple[UUID, ...], amount: int, sent_at: float):
        self.generation = generation
        self.organization = organization
        self.budgets = budgets
        self.amount = amount
        # When the admit or last touch that succeeded was sent, on the loop's clock.
        self.sent_at = sent_at
        self.progress: Callable[[], int] = int
        self.on_gone: Callable[[], object] = lambda: None

    def is_trusted(self, now: float) -> bool:
        return now - self.sent_at < TRUSTED_S


class _Waiting:
    __slots__ = ("budgets", "deadline", "future", "item", "organization", "sent_at", "trusted_until")

    def __init__(
        self,
        organization: UUID,
        budgets: tuple[UUID, ...],
        item: Admit | Settle,
        future: asyncio.Future[Result],
        deadline: float | None,
    ) -> None:
        self.organization = organization
        self.budgets = budgets
        self.item = item
        self.future = future
        self.deadline = deadline
        self.sent_at: float | None = None
        self.trusted_until = 0.0


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(list[Result]).decode


class Till:
    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._link: Link | None = None
        self._queue: deque[_Waiting] = deque()
        self._in_flight = 0
        self._open: dict[UUID, Hold] = {}
        self._work = asyncio.Event()
        self._touch_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())
        self._schedule_touch()

    async def close(self, patience: float) -> None:
        """Settles what is queued, then lets go. Touching goes on until then."""
        end = self._loop.time() + patience
        while (self._queue or self._in_flight) and self._loop.time() < end:
            await asyncio.sleep(0.02)
        if self._task is not None:
            self._task.cancel()
        if self._link is not None:
            self._link.close()

    @property
    def is_connected(self) -> bool:
        return self._link is not None and self._link.is_open

    @property
    def open_holds(self) -> int:
        return len(self._open)

    async def admit(self, organization: UUID, item: Admit) -> Hold:
        """Opens a hold. Raises Refused, KeyRevoked or TillAway."""
        if not 0 <= item.least <= item.want:
            raise TillError("amounts out of order")
        budgets = item.budgets
        waiting = self._submit(organization, budgets, item, self._loop.time() + ADMIT_PATIENCE_S)
        try:
            result = await waiting.future
        except asyncio.CancelledError:
            # The client left in the moment between the answer and its being taken.
            if not waiting.future.cancelled() and not waiting.future.exception():
                self._give_back(waiting, waiting.future.result())
            raise
        if result.status == "granted":
            hold = Hold(item.generation, organization, budgets, result.amount, waiting.sent_at or 0.0)
            self._open[item.generation] = hold
            return hold
        if result.status == "refused":
            raise Refused(result.by, least=item.least, free=result.free, held=result.held)
        if result.status == "revoked":
            raise KeyRevoked
        raise TillError(f"admission answered {result.status}")

    async def settle(self, hold: Hold, item: Settle) -> Result:
        """Closes a hold and waits until that is true; while the till is away only a moment (the settlement is kept).

        Raises HoldGone when there was something to charge and no hold any more: then nothing may be answered.
        """
        result = await self.settle_soon(hold, item)
        if result.status == "gone" and item.charge:
            raise HoldGone(hold.generation)
        return result

    def settle_soon(self, hold: Hold, item: Settle) -> asyncio.Future[Result]:
        """Queues a settlement, which is repeated until the till has taken it."""
        self._open.pop(hold.generation, None)
        waiting = self._submit(hold.organization, hold.budgets, item, None)
        waiting.trusted_until = hold.sent_at + TRUSTED_S
        return waiting.future

    def _submit(
        self, organization: UUID, budgets: tuple[UUID, ...], item: Admit | Settle, deadline: float | None
    ) -> _Waiting:
        waiting = _Waiting(organization, budgets, item, self._loop.create_future(), deadline)
        self._queue.append(waiting)
        self._work.set()
        return waiting

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while True:
                if self._touch_at <= self._loop.time():
                    await self._touch()
                if not self._queue:
                    break
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ITEMS))]
                self._in_flight = len(batch)
                try:
                    await self._carry_out(batch)
                except Exception as error:
                    # The edge of a task: it must go on, or nothing in this process would ever be settled again.
                    logger.exception("a batch could not be carried out")
                    for waiting in batch:
                        resolve(waiting, error=TillError(str(error)))
                self._in_flight = 0

    async def _carry_out(self, batch: list[_Waiting]) -> None:
        """Repeats a batch until each of its items has its result or has waited for too long."""
        while batch := self._still_wanted(batch):
            try:
                await self._call(batch)
                return
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if self.is_connected and len(batch) > 1:
                    break
                if not self.is_connected:
                    logger.warning("the till is away: %s", str(error).strip())
                self._queue = deque(self._still_wanted(list(self._queue)))
                await asyncio.sleep(RECONNECT_S)
                self._let_answers_go([*batch, *self._queue])
            except psycopg.Error as error:
                if len(batch) > 1:
                    break
                logger.error("the till refused %s: %s", batch[0].item.generation, error)
                if not self._simplified(batch[0]):
                    resolve(batch[0], error=TillError(str(error)))
                    return
        for waiting in batch:
            await self._carry_out([waiting])

    def _simplified(self, waiting: _Waiting) -> bool:
        """A settlement must not be lost over a record that its table refuses: it is tried again with a bare one."""
        item = waiting.item
        if isinstance(item, Admit) or item.record == BARE_RECORD:
            return False
        waiting.item = msgspec.structs.replace(item, record=BARE_RECORD)
        return True

    def _let_answers_go(self, batch: Iterable[_Waiting]) -> None:
        """The till is away: complete answers may go out, as their settlements are kept and repeated here."""
        now = self._loop.time()
        for waiting in batch:
            if isinstance(waiting.item, Settle) and now < waiting.trusted_until:
                resolve(waiting, Result(status="done", charge=waiting.item.charge))

    def _still_wanted(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Without the admissions that have waited for too long, or whose client left before they were sent.

        Settlements stay, whoever leaves: nobody else closes their holds.
        """
        now = self._loop.time()
        wanted = []
        for waiting in batch:
            if waiting.deadline is not None and now > waiting.deadline:
                resolve(waiting, error=TillAway())
            elif isinstance(waiting.item, Settle) or not waiting.future.cancelled() or waiting.sent_at is not None:
                wanted.append(waiting)
        return wanted

    async def _call(self, batch: list[_Waiting]) -> None:
        link = await self._connected()
        parts: dict[UUID, list[_Waiting]] = {}
        for waiting in batch:
            parts.setdefault(waiting.organization, []).append(waiting)
        # Sorted, so that two processes lock wallets in one order.
        ordered = [parts[organization] for organization in sorted(parts)]
        now = self._loop.time()
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
        rows = await link.call("till", [payload])
        results = decode(rows[0] or b"[]")
        flat = [waiting for part in ordered for waiting in part]
        for waiting, result in zip(flat, results, strict=True):
            self._resolve(waiting, result)

    def _resolve(self, waiting: _Waiting, result: Result) -> None:
        if waiting.future.cancelled():
            self._give_back(waiting, result)
        else:
            resolve(waiting, result)

    def _give_back(self, waiting: _Waiting, result: Result) -> None:
        """A hold whose client has left is closed with nothing."""
        if isinstance(waiting.item, Admit) and result.status == "granted":
            generation = waiting.item.generation
            hold = Hold(generation, waiting.organization, waiting.budgets, result.amount, 0.0)
            self.settle_soon(hold, Settle(generation, 0, 0, 0, CANCELLED_RECORD))

    def _schedule_touch(self) -> None:
        self._touch_at = self._loop.time()
        self._work.set()
        self._loop.call_later(TOUCH_INTERVAL_S, self._schedule_touch)

    async def _touch(self) -> None:
        """Says of all open holds that their process lives, and what they have used so far."""
        self._touch_at = self._loop.time() + 2 * TOUCH_INTERVAL_S
        holds = list(self._open.values())
        if not holds:
            return
        sent_at = self._loop.time()
        notes = encode([{"id": hold.generation, "progress": hold.progress()} for hold in holds])
        try:
            gone = {UUID(bytes(row or b"").decode()) for row in await (await self._connected()).call("touch", [notes])}
        except psycopg.Error as error:
            logger.warning("holds could not be touched: %s", str(error).strip())
            return
        for hold in holds:
            if hold.generation not in gone:
                hold.sent_at = sent_at
            elif self._open.get(hold.generation) is hold:
                hold.on_gone()

    async def _connected(self) -> Link:
        if self._link is None or not self._link.is_open:
            self._link = None
            self._link = await Link.connect(self._conninfo, SESSION, STATEMENTS)
        return self._link

    async def ping(self) -> bool:
        """Whether PostgreSQL answers, asked on a connection of its own so that it waits behind nothing."""
        try:
            async with asyncio.timeout(2):
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                async with connection:
                    await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            return False
        return True


def resolve(waiting: _Waiting, result: Result | None = None, *, error: TillError | None = None) -> None:
    if waiting.future.done():
        return
    if error is not None:
        waiting.future.set_exception(error)
    elif result is not None:
        waiting.future.set_result(result)
