"""Leases of a limit: several processes' worth of queues against one real Valkey."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis.asyncio
from msgspec import structs

from gateway.leases import Leases
from gateway.routing.monitor import Monitor
from gateway.slots import Full, Late, Slots
from providers.errors import UpstreamError
from providers.snapshot import Endpoint
from tests.endpoints import endpoint, provider, snapshot
from tests.services import Servers

pytestmark = pytest.mark.thorough

ALICE, BOB = uuid4(), uuid4()
QUEUE_LENGTH = 2000


def limited(slug: str, **fields: Any) -> Endpoint:
    """An endpoint of a provider with these limits."""
    return endpoint(slug, provider=provider(slug, **fields))


@dataclass
class Cluster:
    slots: list[Slots]
    leases: list[Leases]
    busy: int = 0
    peak: int = 0
    done: Counter[UUID] = field(default_factory=Counter)

    def follow(self, *endpoints: Endpoint) -> None:
        """The catalogue changes."""
        providers = {one.provider.slug: one.provider for one in endpoints}
        found = structs.replace(snapshot(*endpoints), providers=providers)
        for slots in self.slots:
            slots.follow(found)

    async def request(self, at: int, who: UUID, to: Endpoint, seconds: float = 0.05, patience: float = 30) -> None:
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
async def cluster(url: str, *endpoints: Endpoint, size: int = 4) -> AsyncIterator[Cluster]:
    clients = [redis.asyncio.Redis.from_url(url) for _ in range(size)]
    slots = [Slots(Monitor()) for _ in range(size)]
    leases = [Leases(slots[n], clients[n], f"process-{n}") for n in range(size)]
    for one in leases:
        one.processes = size
        one.start()
    try:
        found = Cluster(slots, leases)
        found.follow(*endpoints)
        yield found
    finally:
        for one in leases:
            await one.stop()
        for client in clients:
            await client.aclose()


async def test_a_flood_from_all_sides_stays_within_the_limit_and_uses_it(servers: Servers) -> None:
    narrow = limited("narrow", max_concurrency=50)
    async with cluster(servers.new_redis(), narrow) as found:
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
    narrow = limited("narrow", max_concurrency=4)
    async with cluster(servers.new_redis(), narrow, size=2) as found:
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
    single = limited("single", max_concurrency=1)
    async with cluster(servers.new_redis(), single) as found:
        await asyncio.gather(*(found.request(n % 4, ALICE, single, 0.005) for n in range(100)))
        assert (found.peak, found.done[ALICE]) == (1, 100)


async def test_what_is_not_used_any_more_is_soon_another_ones(servers: Servers) -> None:
    single = limited("single", max_concurrency=1)
    async with cluster(servers.new_redis(), single, size=2) as found:
        for n in range(6):
            # Less than the second after which a request goes to the next provider.
            await found.request(n % 2, ALICE, single, 0.01, patience=0.8)
        assert (found.peak, found.done[ALICE]) == (1, 6)


async def test_who_gives_up_leaves_no_trace(servers: Servers) -> None:
    single = limited("single", max_concurrency=1)
    async with cluster(servers.new_redis(), single, size=2) as found:
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


async def test_who_gives_up_in_the_moment_of_their_turn_leaves_it_to_the_next(servers: Servers) -> None:
    single = limited("single", max_concurrency=1)
    async with cluster(servers.new_redis(), single, size=1) as found:
        slot = await found.slots[0].enter(single, ALICE)
        tasks = [asyncio.create_task(found.request(0, ALICE, single)) for _ in range(3)]
        await asyncio.sleep(0.1)
        tasks[0].cancel()
        slot.leave()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in ended] == [asyncio.CancelledError, type(None), type(None)]
        line = found.slots[0].lines["single"]
        assert (found.peak, line.taken, line.length, dict(line.held)) == (1, 0, 0, {})


async def test_who_gives_up_in_the_moment_of_giving_way_makes_room(servers: Servers) -> None:
    single = limited("single", max_concurrency=1, queue_length=2)
    async with cluster(servers.new_redis(), single, size=1) as found:
        slot = await found.slots[0].enter(single, ALICE)
        tasks = [asyncio.create_task(found.request(0, ALICE, single)) for _ in range(2)]
        await asyncio.sleep(0.1)
        tasks[1].cancel()
        tasks.append(asyncio.create_task(found.request(0, BOB, single)))
        asyncio.get_running_loop().call_later(0.1, slot.leave)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in ended] == [type(None), asyncio.CancelledError, type(None)]
        assert (found.done[ALICE], found.done[BOB]) == (1, 1)


async def test_a_full_queue_makes_room_for_another_organization(servers: Servers) -> None:
    single = limited("single", max_concurrency=1)
    async with cluster(servers.new_redis(), single, size=1) as found:
        flood = [
            asyncio.create_task(found.request(0, ALICE, single, 0.3 if n == 0 else 0)) for n in range(QUEUE_LENGTH + 50)
        ]
        await asyncio.sleep(0.2)
        await found.request(0, BOB, single)
        ended = Counter(type(one) for one in await asyncio.gather(*flood, return_exceptions=True))
        assert ended[Full] >= 49
        assert found.done[BOB] == 1


async def test_without_valkey_each_takes_its_part(servers: Servers) -> None:
    narrow = limited("narrow", max_concurrency=40)
    async with cluster("unix:///nowhere.sock", narrow) as found:
        await asyncio.gather(*(found.request(n % 4, ALICE, narrow) for n in range(200)))
        assert found.peak == 40
        assert found.done[ALICE] == 200


async def test_who_is_there_when_a_limit_is_set_counts_for_other_processes(servers: Servers) -> None:
    wide = endpoint("wide")
    async with cluster(servers.new_redis(), wide, size=2) as found:
        there = [await found.slots[0].enter(wide, ALICE) for _ in range(3)]
        narrow = structs.replace(wide, max_concurrency=3)
        found.follow(narrow)
        await asyncio.sleep(0.3)
        with pytest.raises(Late):
            await found.slots[1].enter(narrow, BOB, 0.3)
        there.pop().leave()
        there.append(await found.slots[1].enter(narrow, BOB, 5))
        for slot in there:
            slot.leave()


async def test_a_connection_that_breaks_in_its_own_way_ends_no_lease(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop's RuntimeError, of one that was reset while it was idle; and what nobody thought of."""
    single = limited("single", max_concurrency=1)
    async with cluster(servers.new_redis(), single, size=1) as found:
        for error in (RuntimeError("unable to perform operation on a closed transport"), KeyError("unheard of")):
            with monkeypatch.context() as patch:
                patch.setattr(found.leases[0]._redis, "pipeline", raising(error))
                await asyncio.sleep(1.2)
            await found.request(0, ALICE, single, patience=5)


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


async def test_no_limit_asks_nobody(servers: Servers) -> None:
    wide = limited("wide")
    async with cluster("unix:///nowhere.sock", wide, size=1) as found:
        await asyncio.gather(*(found.request(0, ALICE, wide) for _ in range(100)))
        assert found.peak == 100
        assert not found.leases[0]._is_away


async def test_an_endpoints_limit_holds_beside_its_providers(servers: Servers) -> None:
    both = provider("both", max_concurrency=9)
    tight = endpoint("both", provider=both, max_concurrency=4)
    loose = endpoint("both/loose", provider=both)
    async with cluster(servers.new_redis(), tight, loose) as found:
        tasks = [found.request(n % 4, ALICE, tight, 0.03) for n in range(60)]
        await asyncio.gather(*tasks)
        assert (found.peak, found.done[ALICE]) == (4, 60)
        tasks = [found.request(n % 4, ALICE, to, 0.03) for n in range(60) for to in (tight, loose)]
        await asyncio.gather(*tasks)
        assert (found.peak, found.done[ALICE]) == (9, 180)


async def test_a_limit_that_is_set_counts_those_that_are_there(servers: Servers) -> None:
    wide = endpoint("wide")
    async with cluster(servers.new_redis(), wide, size=1) as found:
        there = [await found.slots[0].enter(wide, ALICE) for _ in range(3)]
        narrow = structs.replace(wide, max_concurrency=2)
        found.follow(narrow)
        with pytest.raises(Late):
            await found.slots[0].enter(wide, BOB, 0.3)
        there.pop().leave()
        there.pop().leave()
        there.append(await found.slots[0].enter(narrow, BOB, 5))
        with pytest.raises(Late):
            await found.slots[0].enter(narrow, BOB, 0.3)
        found.follow(wide)
        there += [await found.slots[0].enter(wide, BOB) for _ in range(5)]
        for slot in there:
            slot.leave()
            slot.leave()
        assert {(line.taken, line.length) for line in found.slots[0].lines.values()} == {(0, 0)}


async def test_who_leaves_while_the_answer_is_under_way_leaves_it_to_the_limit(servers: Servers) -> None:
    url = servers.new_redis()
    wide = endpoint("wide")
    async with cluster(url, wide, size=1) as found, redis.asyncio.Redis.from_url(url) as valkey:
        there = [await found.slots[0].enter(wide, ALICE) for _ in range(3)]
        narrow = structs.replace(wide, max_concurrency=2)
        found.follow(narrow)
        with pytest.raises(Late):
            await found.slots[0].enter(wide, BOB, 0.3)
        await valkey.client_pause(300)
        # Asks for all three.
        with pytest.raises(Late):
            await found.slots[0].enter(wide, BOB, 0.1)
        there.pop().leave()
        there.pop().leave()
        there.append(await found.slots[0].enter(narrow, BOB, 5))
        with pytest.raises(Late):
            await found.slots[0].enter(narrow, BOB, 0.5)
        for slot in there:
            slot.leave()


@pytest.mark.parametrize("none", [{"queue_length": 0}, {"queue_wait_s": 0}])
async def test_without_a_queue_the_limit_is_used_and_the_rest_is_told_at_once(
    servers: Servers, none: dict[str, int]
) -> None:
    narrow = limited("narrow", max_concurrency=6, **none)
    async with cluster(servers.new_redis(), narrow, size=2) as found:
        ended = await asyncio.gather(
            *(found.request(n % 2, ALICE, narrow, 2) for n in range(30)), return_exceptions=True
        )
        # Nobody has waited for a turn, or it would have taken its two seconds.
        assert Counter(map(type, ended)) == {type(None): 6, Full: 24}
        assert found.peak == 6


async def test_without_a_queue_who_comes_while_leases_are_asked_for_is_asked_for_next(servers: Servers) -> None:
    narrow = limited("narrow", max_concurrency=6, queue_length=0)
    async with cluster(servers.new_redis(), narrow, size=1) as found:
        slots = found.slots[0]
        first = await slots.enter(narrow, ALICE)
        for turns in range(20):
            slots.asked.add(slots.lines["narrow"])
            slots.news.set()
            # In some of them the question is on its way.
            for _ in range(turns):
                await asyncio.sleep(0)
            await found.request(0, ALICE, narrow, 0)
            await asyncio.sleep(0.15)
        first.leave()


async def test_a_short_queue_keeps_so_many_and_no_longer_than_it_says(servers: Servers) -> None:
    single = limited("single", max_concurrency=1, queue_length=3, queue_wait_s=1)
    async with cluster(servers.new_redis(), single, size=1) as found:
        first = await found.slots[0].enter(single, ALICE)
        ended = await asyncio.gather(*(found.request(0, ALICE, single) for _ in range(10)), return_exceptions=True)
        assert Counter(map(type, ended)) == {Late: 3, Full: 7}
        first.leave()
        await found.request(0, ALICE, single)


async def test_what_has_no_limit_asks_nobody_beside_what_has(servers: Servers) -> None:
    narrow = endpoint("both", provider=provider("both"), max_concurrency=1)
    wide = endpoint("both/wide", provider=narrow.provider)
    async with cluster("unix:///nowhere.sock", narrow, wide, size=1) as found:
        await asyncio.gather(*(found.request(0, ALICE, wide) for _ in range(100)))
        assert found.peak == 100
        assert not found.leases[0]._is_away
