"""The till's client: what all requests of this process want of PostgreSQL goes in one call at a time.

There is no timer: what arrives while a call is in flight is the next batch. Every item may be repeated (till.sql), so a
lost connection repeats the whole batch. A batch that fails is repeated by itself for each of its organizations
(billing/siding.py), while the others go on here.
"""

import asyncio
import logging
from collections import deque
from uuid import UUID

import psycopg

from billing.errors import HoldGone, KeyRevoked, Refused, Repeated, TillError
from billing.holds import TRUSTED_S, Hold
from billing.items import BARE_RECORD, Admit, Extend, Item, Result, Settle, given_up
from billing.lane import TOUCH_INTERVAL_S, TOUCH_RETRY_S, Lane, Waiting
from billing.siding import BATCH_ITEMS, Siding, let_answers_go, still_wanted

logger = logging.getLogger(__name__)

ADMIT_PATIENCE_S = 5.0
# Also how long a complete answer waits for its settlement while the till is away.
RECONNECT_S = 0.25


class Till:
    def __init__(self, conninfo: str) -> None:
        self._lane = Lane(conninfo)
        self._siding = Siding(conninfo, self._resolve)
        self._queue: deque[Waiting] = deque()
        self._in_flight = 0
        self._open: dict[UUID, Hold] = {}
        self._work = asyncio.Event()
        self._touch_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())
        self._siding.start()
        self._schedule_touch()

    async def close(self, patience: float) -> None:
        """Settles what is queued, then lets go. Touching goes on until then."""
        end = self._loop.time() + patience
        while (self._queue or self._in_flight or self._siding) and self._loop.time() < end:
            await asyncio.sleep(0.02)
        if self._task is not None:
            self._task.cancel()
        self._lane.close()
        self._siding.close()

    @property
    def is_connected(self) -> bool:
        return self._lane.is_connected

    @property
    def open_holds(self) -> int:
        return len(self._open)

    async def admit(self, organization: UUID, item: Admit) -> Hold:
        """Opens a hold. Raises Refused, Repeated, KeyRevoked or TillAway."""
        if not 0 <= item.least <= item.want:
            raise TillError("amounts out of order")
        waiting = self._submit(organization, item.budgets, item, self._loop.time() + ADMIT_PATIENCE_S)
        try:
            result = await waiting.future
        except asyncio.CancelledError:
            # The client left in the moment between the answer and its being taken.
            if not waiting.future.cancelled() and not waiting.future.exception():
                self._give_back(waiting, waiting.future.result())
            raise
        match result.status:
            case "granted":
                return self._opened(organization, item, result.amount, waiting.sent_at or 0.0)
            case "refused":
                raise Refused(result.by, least=item.least, free=result.free, held=result.held)
            case "repeated" if result.generation is not None:
                raise Repeated(result.by, result.generation)
            case "revoked":
                raise KeyRevoked
            case _:
                raise TillError(f"admission answered {result.status}")

    async def extend(self, hold: Hold, least: int, want: int) -> None:
        """Makes a hold `want` in all, at least `least`. Raises Refused, HoldGone or TillAway."""
        item = Extend(hold.generation, least, want, hold.budgets, hold.limits, hold.windows)
        result = await self._submit(hold.organization, hold.budgets, item, hold.sent_at + TRUSTED_S).future
        if result.status == "refused":
            raise Refused(result.by, least=least - hold.amount, free=result.free, held=result.held)
        if result.status != "granted":
            raise HoldGone(hold.generation)
        hold.amount = max(hold.amount, result.amount)

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

    def let_go(self, hold: Hold) -> None:
        """Closes with nothing what nobody has settled: as an open hold it would be touched for as long as we live."""
        if hold.generation in self._open:
            self.settle_soon(hold, Settle(hold.generation, 0, 0, 0, BARE_RECORD))

    def _opened(self, organization: UUID, item: Admit, amount: int, sent_at: float) -> Hold:
        hold = Hold(item.generation, organization, item.budgets, amount, sent_at)
        hold.limits, hold.windows, hold.extender = item.limits, item.windows, self.extend
        self._open[item.generation] = hold
        return hold

    def _submit(self, organization: UUID, budgets: tuple[UUID, ...], item: Item, deadline: float | None) -> Waiting:
        waiting = Waiting(organization, budgets, item, self._loop.create_future(), deadline)
        self._queue.append(waiting)
        self._work.set()
        return waiting

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while True:
                batch: list[Waiting] = []
                try:
                    if self._touch_at <= self._loop.time():
                        await self._touch()
                    if not self._queue:
                        break
                    batch = self._next_batch()
                    self._in_flight = len(batch)
                    if batch:
                        await self._carry_out(batch)
                except Exception as error:
                    # The edge of a task: it must go on, or nothing in this process would ever be settled again.
                    logger.exception("a batch or a touch could not be carried out")
                    for waiting in batch:
                        waiting.fail(TillError(str(error)))
                self._in_flight = 0

    def _next_batch(self) -> list[Waiting]:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ITEMS))]
        if self._siding:
            for waiting in batch:
                if waiting.organization in self._siding:
                    self._siding.add(waiting)
            batch = [waiting for waiting in batch if waiting.organization not in self._siding]
        return still_wanted(batch, self._loop.time())

    async def _carry_out(self, batch: list[Waiting]) -> None:
        try:
            for waiting, result in await self._lane.call(batch):
                self._resolve(waiting, result)
        except psycopg.Error as error:
            if self.is_connected:
                # One of them is locked or refused: nobody knows which.
                for waiting in batch:
                    self._siding.add(waiting)
                return
            logger.warning("the till is away: %s", str(error).strip())
            self._queue.extendleft(reversed(batch))
            await asyncio.sleep(RECONNECT_S)
            now = self._loop.time()
            self._queue = deque(still_wanted(self._queue, now))
            let_answers_go(self._queue, now)

    def _resolve(self, waiting: Waiting, result: Result) -> None:
        if waiting.future.cancelled():
            self._give_back(waiting, result)
            return
        is_lost = result.status == "gone" and isinstance(waiting.item, Settle) and waiting.item.charge
        if is_lost and waiting.future.done():
            # Its answer was let go while the till was away.
            logger.error("%s was answered, but its hold expired before it was charged", waiting.item.generation)
        waiting.resolve(result)

    def _give_back(self, waiting: Waiting, result: Result) -> None:
        """A hold whose client has left is closed with nothing."""
        if isinstance(waiting.item, Admit) and result.status == "granted":
            item = waiting.item
            hold = Hold(item.generation, waiting.organization, item.budgets, result.amount, 0.0)
            self.settle_soon(hold, given_up(item.generation))

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
        noted = [(hold.generation, *hold.progress()) for hold in holds]
        try:
            gone = await self._lane.touch(noted)
        except psycopg.Error as error:
            logger.warning("holds could not be touched: %s", str(error).strip())
            self._touch_at = self._loop.time() + TOUCH_RETRY_S
            self._loop.call_later(TOUCH_RETRY_S, self._work.set)
            return
        for hold in holds:
            if hold.generation not in gone:
                hold.sent_at = sent_at
            elif self._open.get(hold.generation) is hold:
                hold.on_gone()

    async def ping(self) -> bool:
        """Whether PostgreSQL answers, asked on a connection of its own so that it waits behind nothing."""
        try:
            async with asyncio.timeout(2):
                connection = await psycopg.AsyncConnection.connect(self._lane.conninfo, autocommit=True)
                async with connection:
                    await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            return False
        return True
