"""Once a second a process tells the others what it saw of providers, and hears what they did: one round trip.

Without Valkey it goes by its own numbers.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

import redis.asyncio

from accounts.threads import in_thread
from gateway.away import AWAY
from gateway.leases import Leases
from gateway.routing import breaker
from gateway.routing.monitor import Monitor
from gateway.routing.stats import LIVE_SLOTS, SLOT_S, STATS, slot_of
from providers import refusals
from providers.snapshot import Provider

EACH_S = 1.0
# News come in bursts, too: one round trip for those of a moment.
GATHER_S = 0.02
TIMEOUT_S = 0.9
KEPT_S = 2400
HISTORY_S = 1800
BREAKERS = "turnpike:breakers"
PROCESSES = "turnpike:processes"
# Of an endpoint's id: who tries it.
TRIAL = "turnpike:trial:{}"
# A process that has said nothing for so long is not there any more.
ALIVE_S = 10

logger = logging.getLogger(__name__)


class Pulse:
    def __init__(self, monitor: Monitor, leases: Leases, client: "redis.asyncio.Redis") -> None:
        self._monitor = monitor
        self._leases = leases
        self._redis = client
        self._task: asyncio.Task[None] | None = None
        self._switching: set[asyncio.Task[None]] = set()
        self._is_away = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        with suppress(*AWAY):
            async with asyncio.timeout(TIMEOUT_S):
                await self._redis.zrem(PROCESSES, self._monitor.statistics.process)

    async def _run(self) -> None:
        await self._survive(self._remember)
        while True:
            began = time.monotonic()
            try:
                await self._beat()
            except Exception:
                # The edge of a task: it must go on, or this process would route by old numbers for ever.
                logger.exception("what was seen of providers could not be added up")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._monitor.news.wait(), max(began + EACH_S - time.monotonic(), 0))
            await asyncio.sleep(GATHER_S)

    async def _beat(self) -> None:
        self._monitor.news.clear()
        self._monitor.statistics.pass_time(time.time())
        await self._survive(self._exchange)
        if self._is_away:
            for endpoint in self._monitor.breakers.due():
                self._monitor.breakers.try_once(endpoint)
        self._monitor.refresh()
        self._switch_off()

    async def _survive(self, step: Any) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await step()
        except AWAY as error:
            if not self._is_away:
                logger.warning("Valkey does not answer, routing by this process's own numbers: %s", error)
            self._is_away = True
        except Exception:
            # What another release says, for one: its own numbers still count.
            logger.exception("the others' numbers could not be read")
        else:
            self._is_away = False

    async def _remember(self) -> None:
        """What happened before this process began."""
        now = slot_of(time.time())
        slots = range(now - HISTORY_S // SLOT_S, now - LIVE_SLOTS + 1)
        pipeline = self._redis.pipeline(transaction=False)
        for slot in slots:
            pipeline.hvals(STATS.format(slot))
        for slot, reports in zip(slots, await pipeline.execute(), strict=True):
            self._monitor.statistics.remember(slot, reports)

    async def _exchange(self) -> None:
        statistics, breakers = self._monitor.statistics, self._monitor.breakers
        reports, unsent = statistics.reports(), dict(breakers.unsent)
        live = [statistics.slot - back for back in range(LIVE_SLOTS)]
        pipeline = self._redis.pipeline(transaction=False)
        for slot, report in reports:
            pipeline.hset(STATS.format(slot), statistics.process, report)
            pipeline.expire(STATS.format(slot), KEPT_S)
        for endpoint, found in unsent.items():
            if found is None:
                pipeline.hdel(BREAKERS, str(endpoint))
            else:
                pipeline.hset(BREAKERS, str(endpoint), breaker.encode(found))
        now = time.time()
        pipeline.zadd(PROCESSES, {statistics.process: now})
        pipeline.zremrangebyscore(PROCESSES, "-inf", now - ALIVE_S)
        pipeline.zcard(PROCESSES)
        pipeline.hgetall(BREAKERS)
        for slot in live:
            pipeline.hgetall(STATS.format(slot))
        processes, told, *slots = (await pipeline.execute())[-2 - len(live) :]
        statistics.sent(reports)
        for endpoint, found in unsent.items():
            if breakers.unsent.get(endpoint, ...) is found:
                del breakers.unsent[endpoint]
        self._leases.processes = max(processes, 1)
        breakers.hear({UUID(endpoint.decode()): breaker.decode(row) for endpoint, row in told.items()})
        for slot, by_process in zip(live, slots, strict=True):
            for process, report in by_process.items():
                statistics.hear(slot, process.decode(), report)
        await self._try()

    async def _try(self) -> None:
        """Of all processes one lets a request through to an endpoint whose pause is over."""
        for endpoint in self._monitor.breakers.due():
            trial = TRIAL.format(endpoint)
            if await self._redis.set(trial, self._monitor.statistics.process, nx=True, px=int(breaker.TRIAL_S * 1000)):
                self._monitor.breakers.try_once(endpoint)

    def _switch_off(self) -> None:
        due = self._monitor.refusals.due
        while due:
            _, provider = due.popitem()
            task = asyncio.create_task(switch_off(provider))
            self._switching.add(task)
            task.add_done_callback(self._switching.discard)


async def switch_off(provider: Provider) -> None:
    try:
        await in_thread(refusals.switch_off, provider)
    except Exception:
        # It is found again with the next refusals.
        logger.exception("the credential of %s could not be switched off", provider.slug)
