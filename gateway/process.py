"""A gateway process: what it starts, keeps up to date and lets go of."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import psycopg
import redis.asyncio
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from accounts.threads import in_thread
from billing import markups
from billing.till import Till
from gateway.away import AWAY
from gateway.customers import Customers
from gateway.idempotency import Detached
from gateway.leases import Leases
from gateway.pulse import Pulse
from gateway.rate_limits import RateLimits
from gateway.routing import sharing
from gateway.services import Services
from providers import loading

logger = logging.getLogger(__name__)

RETRY_S = 1.0
# A start with everything at hand takes less.
START_S = 5.0
PING_KEPT_S = 0.25
LAST_S = 1.0
PING_REDIS_S = 1.0
# Changes come in bursts (an import writes hundreds of rows): gather them for a moment.
GATHER_S = 0.1


class Process:
    def __init__(self) -> None:
        self.services = Services(Till(settings.DATABASE_URL))
        self.is_migrated = False
        self.has_catalogue = False
        self.is_draining = False
        self._drains_until = 0.0
        self._has_read = asyncio.Event()
        self._pinging = asyncio.Lock()
        self._pinged_until = 0.0
        self._has_postgresql = False
        self._redis = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            protocol=2,
            # Once more, for a connection that went stale; of itself it tries for many seconds.
            retry=Retry(NoBackoff(), 1),
        )
        self.services.rate_limits = RateLimits(self._redis)
        monitor = self.services.monitor
        self._leases = Leases(self.services.slots, self._redis, monitor.statistics.process)
        self._pulse = Pulse(monitor, self._leases, self._redis)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns with the catalogue read, for the processes beside it on its socket already answer; after a moment
        without it, too: what is not there yet (a database, its migrations) is waited for behind /readyz."""
        await self.services.till.start()
        sessions = self.services.sessions
        work = (self._listen(), sharing.tell(sessions, self._redis), sharing.listen(sessions, self._redis))
        self._tasks = [asyncio.create_task(one) for one in work]
        self._pulse.start()
        self._leases.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await self._has_read.wait()

    def drain(self, patience: float) -> None:
        """Ends soon: requests that are under way have `patience` seconds. Called again, it changes nothing."""
        if not self.is_draining:
            self.is_draining = True
            self._drains_until = asyncio.get_running_loop().time() + patience

    async def stop(self, patience: float) -> None:
        """Settles what is still to be settled, within `patience` seconds, and lets go."""
        self.drain(0)
        for task in self._tasks:
            task.cancel()
        # Of who may ask again, clients gone or not; uvicorn has waited for the others.
        left = self._drains_until - asyncio.get_running_loop().time()
        await finished({*Detached.running, *self.services.running}, max(left, 0))
        await self.services.till.close(patience)
        await self.services.contents.close(patience)
        await self.services.http.aclose()
        await self._pulse.stop()
        await self._leases.stop()
        await self._redis.aclose()

    async def ping_postgresql(self) -> bool:
        """Asked once in a moment however many want to know: it opens a connection, and /readyz is open to all."""
        async with self._pinging:
            now = asyncio.get_running_loop().time()
            if now > self._pinged_until:
                self._has_postgresql = await self.services.till.ping()
                self._pinged_until = now + PING_KEPT_S
            return self._has_postgresql

    async def ping_redis(self) -> bool:
        try:
            async with asyncio.timeout(PING_REDIS_S):
                return bool(await self._redis.ping())
        except AWAY:
            return False

    async def _listen(self) -> None:
        """Keeps keys and catalogue as fresh as the database tells; without that word everything is read again."""
        while True:
            try:
                await self._follow()
            except (psycopg.Error, DatabaseError, OSError) as error:
                logger.warning("not listening to PostgreSQL: %s", str(error).strip())
            except Exception:
                # The edge of a task: it must go on, or this process would serve an old catalogue for ever.
                logger.exception("the catalogue could not be read")
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        link = await psycopg.AsyncConnection.connect(settings.DATABASE_URL, autocommit=True, connect_timeout=2)
        async with link:
            await link.execute("LISTEN turnpike_key")
            await link.execute("LISTEN turnpike_catalogue")
            self.services.callers.forget_all()
            await self._await_migrations()
            await self._reload()
            while True:
                stale = False
                async for notice in link.notifies(timeout=None, stop_after=1):
                    stale = self._heard(notice) or stale
                if stale:
                    async for notice in link.notifies(timeout=GATHER_S):
                        self._heard(notice)
                    await self._reload()

    def _heard(self, notice: psycopg.Notify) -> bool:
        """Forgets a key, or all of them; says whether it was about the catalogue."""
        if notice.channel == "turnpike_key":
            if notice.payload:
                self.services.callers.forget(notice.payload)
            else:
                self.services.callers.forget_all()
            return False
        return True

    async def _await_migrations(self) -> None:
        while not self.is_migrated:
            self.is_migrated = await in_thread(is_migrated)
            if not self.is_migrated:
                await asyncio.sleep(RETRY_S)

    async def _reload(self) -> None:
        self.services.customers = await in_thread(load)
        found = self.services.customers.everybody
        self.services.monitor.follow(found)
        self.services.slots.follow(found)
        self.has_catalogue = bool(found.models)
        self._has_read.set()


async def finished(tasks: set[asyncio.Task[Any]], patience: float) -> None:
    """Those that have not ended by then are cancelled."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=patience)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=LAST_S)


def load() -> Customers:
    return Customers(loading.load(), markups.load())


def is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
