"""Limits of providers and endpoints over all processes: each leases what it needs and renews it while it lives.

One round trip serves all requests of a process that wait at that moment; what a lease's request leaves is lent to the
next one here without another. A process that dies is forgotten after `LIVE_S`. Without Valkey a process trusts what it
has for that long, and then takes its part of the limit.
"""

import asyncio
import logging
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from uuid import UUID

import msgspec
import redis.asyncio

from gateway.away import AWAY
from gateway.slots import Line, Slots

LIVE_S = 8.0
# A reply that takes as long as this comes too late to be trusted for all of it.
MARGIN_S = 2.0
RENEW_S = 1.0
# How often one who waits looks whether others have left something.
LOOK_S = 0.04
TIMEOUT_S = 1.0
# Organizations that a process tells of; beyond that they are a crowd anyway.
MOST_TOLD = 200
LARGE = 10
# Of a provider's slug or an endpoint's id: what each process has there.
SLOTS = "turnpike:slots:{}"
SCRIPT = Path(__file__).with_name("lease.lua").read_text()

logger = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode


class Leases:
    def __init__(self, slots: Slots, client: "redis.asyncio.Redis", process: str) -> None:
        self._slots = slots
        self._redis = client
        self._process = process
        self._task: asyncio.Task[None] | None = None
        self._is_away = False
        self.processes = 1
        """How many there are, as far as is known."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for line in self._slots.lines.values():
            if line.limit is not None and line.leased and not line.taken:
                await self._call([line])

    async def _run(self) -> None:
        renew_at = 0.0
        while True:
            now = time.monotonic()
            lines = self._slots.asked
            self._slots.asked = set()
            self._slots.news.clear()
            if now >= renew_at:
                renew_at = now + RENEW_S
                lines |= {line for line in self._slots.lines.values() if line.leased or line.taken or line.length}
            lines = {line for line in lines if line.limit is not None}
            try:
                if lines:
                    await self._call(list(lines))
            except Exception as error:
                # The edge of a task: it must go on, or nobody would get in any more.
                logger.exception("leases could not be renewed")
                self._lost(error)
            await self._rest(renew_at)

    async def _rest(self, renew_at: float) -> None:
        """Until somebody asks; for who waits, others may have left something in a moment."""
        slots = self._slots
        slots.hungry = {line for line in slots.lines.values() if line.waiting and line.limit is not None}
        pause = LOOK_S if slots.hungry else max(renew_at - time.monotonic(), 0)
        if self._is_away:
            # Each call may take its whole time-out.
            await asyncio.sleep(RENEW_S)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(slots.news.wait(), pause)
        slots.asked |= slots.hungry

    async def _call(self, lines: list[Line]) -> None:
        sent_at = time.monotonic()
        for line in lines:
            line.share = max((line.limit or 0) // self.processes, 1)
        pipeline = self._redis.pipeline(transaction=False)
        for line in lines:
            pipeline.eval(SCRIPT, 1, SLOTS.format(line.key), *self._told(line))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                replies = await pipeline.execute()
        except AWAY as error:
            self._lost(error)
            return
        self._is_away = False
        for line in self._slots.lines.values():
            line.is_alone = False
        for line, reply in zip(lines, replies, strict=True):
            took(line, reply, sent_at)

    def _told(self, line: Line) -> list[str | int | bytes]:
        # Until the answer comes, nothing may be lent beyond what it is sure to leave us.
        line.leased = min(line.leased, line.taken)
        line.untold = 0
        limit = line.limit or 0
        # What was used a moment ago is likely to be used again.
        wanted = max(line.taken + line.length, line.peak)
        line.peak = line.taken
        busy = islice({**line.held, **line.waiting}, MOST_TOLD)
        newcomers = islice(line.newcomers(), MOST_TOLD)
        return [
            self._process,
            limit,
            reserve(limit),
            line.taken,
            wanted,
            line.length,
            int(LIVE_S * 1000),
            encode([str(organization) for organization in busy]),
            encode([str(organization) for organization in newcomers]),
        ]

    def _lost(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("Valkey does not answer, each process takes its part of limits: %s", error)
        self._is_away = True
        for line in self._slots.lines.values():
            line.is_alone = True
            line.untold = 0
            line.serve()
            line.turn_away()


def took(line: Line, reply: list[int | bytes], sent_at: float) -> None:
    leased, excess, contended, *lent = reply
    line.leased, line.excess = int(leased), int(excess)
    line.trusted_until = sent_at + LIVE_S - MARGIN_S
    if contended:
        line.peak = line.taken
    for organization in lent:
        found = UUID(organization.decode() if isinstance(organization, bytes) else str(organization))
        if found in line.waiting and line.taken < line.leased:
            line.admit(found)
    # Some may have left while the answer was under way.
    line.return_excess()
    line.serve()
    line.turn_away()


def reserve(limit: int) -> int:
    """Of a limit, for organizations that have nothing there: who floods it leaves a place for others."""
    return 0 if limit < LARGE else 1 + limit // 50
