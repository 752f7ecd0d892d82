"""Where organizations wait whose batch failed: each by itself, so that one locked wallet holds up nobody else."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from uuid import UUID

import psycopg
from msgspec import structs

from billing.errors import TillAway, TillError
from billing.items import BARE_RECORD, Result, Settle, given_up
from billing.lane import TOUCH_INTERVAL_S, TOUCH_RETRY_S, Lane, Waiting, is_settlement, may_hold

logger = logging.getLogger(__name__)

BATCH_ITEMS = 200
RETRY_S = 0.25
# Then its connection is let go.
IDLE_S = 30.0


class Siding:
    def __init__(self, conninfo: str, answer: Callable[[Waiting, Result], None]) -> None:
        self.lane = Lane(conninfo)
        self._answer = answer
        self._parts: dict[UUID, list[Waiting]] = {}
        self._not_before: dict[UUID, float] = {}
        self._singly: set[UUID] = set()
        self._touch_at = 0.0
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __contains__(self, organization: UUID) -> bool:
        return organization in self._parts

    def __bool__(self) -> bool:
        return bool(self._parts)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.lane.close()

    def add(self, waiting: Waiting) -> None:
        self._parts.setdefault(waiting.organization, []).append(waiting)
        self._work.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._work.wait()
            except TimeoutError:
                self.lane.close()
                continue
            self._work.clear()
            while self._parts:
                await self._turn()

    async def _turn(self) -> None:
        organization = min(self._parts, key=lambda one: self._not_before.get(one, 0.0))
        pause = self._not_before.get(organization, 0.0) - self._loop.time()
        if pause > 0:
            try:
                async with asyncio.timeout(pause):
                    await self._work.wait()
            except TimeoutError:
                pass
            self._work.clear()
            return
        part = self._parts[organization] = still_wanted(self._parts[organization], self._loop.time())
        batch = part[: 1 if organization in self._singly else BATCH_ITEMS]
        try:
            if self._touch_at <= self._loop.time():
                await self._touch()
            if batch:
                await self._carry_out(batch)
        except Exception as error:
            # The edge of a task: it must go on, or these would never be settled.
            logger.exception("an organization's items could not be carried out")
            for waiting in batch:
                waiting.fail(TillError(str(error)))
                part.remove(waiting)
        if not part:
            del self._parts[organization]
            self._not_before.pop(organization, None)
            self._singly.discard(organization)

    async def _touch(self) -> None:
        """Keeps the holds of all settlements here from expiring under them.

        Not with the till's own touch: that would wait for the holds that a call here is about to close.
        """
        self._touch_at = self._loop.time() + TOUCH_INTERVAL_S
        waiting = [one for part in self._parts.values() for one in part if is_settlement(one)]
        if not waiting:
            return
        try:
            await self.lane.touch((one.item.generation, 0, 0) for one in waiting)
        except psycopg.Error as error:
            logger.warning("holds to be settled could not be touched: %s", str(error).strip())
            self._touch_at = self._loop.time() + TOUCH_RETRY_S

    async def _carry_out(self, batch: list[Waiting]) -> None:
        organization = batch[0].organization
        part = self._parts[organization]
        try:
            for waiting, result in await self.lane.call(batch):
                self._answer(waiting, result)
                part.remove(waiting)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # Locked, cancelled, away: it may work later, after the others.
            logger.warning("%s waits: %s", organization, str(error).strip())
            self._not_before[organization] = self._loop.time() + RETRY_S
            let_answers_go(part, self._loop.time())
        except psycopg.Error as error:
            if len(batch) > 1:
                self._singly.add(organization)
                return
            logger.error("the till refused %s: %s", batch[0].item.generation, error)
            if not simplified(batch[0]):
                batch[0].fail(TillError(str(error)))
                part.remove(batch[0])


def simplified(waiting: Waiting) -> bool:
    """A settlement must not be lost over a record that its table refuses: it is tried again with a bare one."""
    item = waiting.item
    if not isinstance(item, Settle) or item.record == BARE_RECORD:
        return False
    waiting.item = structs.replace(item, record=BARE_RECORD)
    return True


def let_answers_go(waiting: Iterable[Waiting], now: float) -> None:
    """The till is away: complete answers may go out, as their settlements are kept and repeated here.

    What costs nothing, such as the answer to a failed request, may go at any time.
    """
    for one in waiting:
        if isinstance(one.item, Settle) and (now < one.trusted_until or not one.item.charge):
            one.resolve(Result(status="done", charge=one.item.charge))


def still_wanted(waiting: Iterable[Waiting], now: float) -> list[Waiting]:
    """Without what has waited for too long, or whose client left before it was sent.

    Settlements stay, whoever leaves: nobody else closes their holds. An admission that was sent may have its hold: it
    becomes a settlement with nothing.
    """
    wanted = []
    for one in waiting:
        is_late = one.deadline is not None and now > one.deadline
        if is_late:
            one.fail(TillAway())
        if (is_late or one.future.cancelled()) and not is_settlement(one):
            if not may_hold(one):
                continue
            one.item = given_up(one.item.generation)
            one.deadline = None
        wanted.append(one)
    return wanted
