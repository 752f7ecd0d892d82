"""Leases of a limit: several processes' worth of queues against one real Valkey."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
import redis.asyncio

from gateway.leases import Leases
from gateway.routing.monitor import Monitor
from gateway.slots import QUEUE_LENGTH, Full, Slots
from providers.errors import UpstreamError
from providers.snapshot import Provider
from tests.endpoints import provider
from tests.services import Servers

pytestmark = pytest.mark.thorough

ALICE, BOB = uuid4(), uuid4()


@dataclass
class Cluster:
    slots: list[Slots]
    leases: list[Leases]
    busy: int = 0
    peak: int = 0
    done: Counter[UUID] = field(default_factory=Counter)

    async def request(self, at: int, who: UUID, to: Provider, seconds: float = 0.05, patience: float = 30) -> None:
        slot = await self.slots[at].enter(to, who, patience)
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.busy -= 1
            slot.leave()
        self.done[who] += 1


@asynccontextmanager
async def cluster(url: str, size: int = 4) -> AsyncIterator[Cluster]:
    clients = [redis.asyncio.Redis.from_url(url) for _ in range(size)]
    slots = [Slots(Monitor()) for _ in range(size)]
    leases = [Leases(slots[n], clients[n], f"process-{n}") for n in range(size)]
    for one in leases:
        one.processes = size
        one.start()
    try:
        yield Cluster(slots, leases)
    finally:
        for one in leases:
            await one.stop()
        for client in clients:
            await client.aclose()


async def test_a_flood_from_all_sides_stays_within_the_limit_and_uses_it(servers: Servers) -> None:
    narrow = provider("narrow", max_concurrency=50)
    async with cluster(servers.new_redis()) as found:
        flood = [asyncio.create_task(found.request(n % 4, ALICE, narrow)) for n in range(1000)]
        await asyncio.sleep(0.3)
        overtaken = []
        for n in range(8):
            before = found.done[ALICE]
            await found.request(n % 4, BOB, narrow)
            overtaken.append(found.done[ALICE] - before)
        assert found.done[ALICE] < 1000
        await asyncio.gather(*flood)
        assert found.done == {ALICE: 1000, BOB: 8}
        assert 45 <= found.peak <= 50
        # It takes as long as a round of the flood, and may have come in the middle of one.
        assert max(overtaken) <= 120, overtaken


async def test_what_a_dead_process_had_is_free_after_a_while(servers: Servers) -> None:
    narrow = provider("narrow", max_concurrency=4)
    async with cluster(servers.new_redis(), 2) as found:
        await asyncio.gather(*(found.request(0, ALICE, narrow, 0) for _ in range(4)))
        held = [await found.slots[0].enter(narrow, ALICE, 5) for _ in range(4)]
        dead = found.leases[0]
        assert dead._task is not None
        dead._task.cancel()
        began = asyncio.get_running_loop().time()
        await found.request(1, BOB, narrow)
        assert 3 < asyncio.get_running_loop().time() - began < 10
        assert len(held) == 4


async def test_a_limit_of_one_is_one(servers: Servers) -> None:
    single = provider("single", max_concurrency=1)
    async with cluster(servers.new_redis()) as found:
        await asyncio.gather(*(found.request(n % 4, ALICE, single, 0.005) for n in range(100)))
        assert (found.peak, found.done[ALICE]) == (1, 100)


async def test_what_is_not_used_any_more_is_soon_another_ones(servers: Servers) -> None:
    single = provider("single", max_concurrency=1)
    async with cluster(servers.new_redis(), 2) as found:
        for n in range(6):
            # Less than the second after which a request goes to the next provider.
            await found.request(n % 2, ALICE, single, 0.01, patience=0.8)
        assert (found.peak, found.done[ALICE]) == (1, 6)


async def test_who_gives_up_leaves_no_trace(servers: Servers) -> None:
    single = provider("single", max_concurrency=1)
    async with cluster(servers.new_redis(), 2) as found:
        tasks = [asyncio.create_task(found.request(n % 2, ALICE, single, 0.02, 0.3)) for n in range(60)]
        await asyncio.sleep(0.1)
        for task in tasks[::3]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in ended} <= {
            type(None),
            asyncio.CancelledError,
            UpstreamError,
            *Full.__subclasses__(),
        }
        await found.request(0, BOB, single)
        await found.request(1, BOB, single)
        assert found.peak == 1
        for slots in found.slots:
            line = slots.lines["single"]
            assert (line.taken, line.length, dict(line.held), dict(line.waiting)) == (0, 0, {}, {})


async def test_a_full_queue_makes_room_for_another_organization(servers: Servers) -> None:
    single = provider("single", max_concurrency=1)
    async with cluster(servers.new_redis(), 1) as found:
        flood = [
            asyncio.create_task(found.request(0, ALICE, single, 0.3 if n == 0 else 0)) for n in range(QUEUE_LENGTH + 50)
        ]
        await asyncio.sleep(0.2)
        await found.request(0, BOB, single)
        ended = Counter(type(one) for one in await asyncio.gather(*flood, return_exceptions=True))
        assert ended[Full] >= 49
        assert found.done[BOB] == 1


async def test_without_valkey_each_takes_its_part(servers: Servers) -> None:
    narrow = provider("narrow", max_concurrency=40)
    async with cluster("unix:///nowhere.sock") as found:
        await asyncio.gather(*(found.request(n % 4, ALICE, narrow) for n in range(200)))
        assert found.peak == 40
        assert found.done[ALICE] == 200


async def test_no_limit_asks_nobody(servers: Servers) -> None:
    wide = provider("wide")
    async with cluster("unix:///nowhere.sock", 1) as found:
        await asyncio.gather(*(found.request(0, ALICE, wide) for _ in range(100)))
        assert found.peak == 100
        assert not found.leases[0]._is_away
