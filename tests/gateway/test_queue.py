"""Limits of providers and endpoints hold over all processes; who waits for them waits in a fair queue."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import redis

from tests import upstream
from tests.services import Product, Servers, running
from tests.upstream import Upstream, text_reply, text_stream

pytestmark = pytest.mark.thorough

LIMIT = 50
FLOOD = 1000
# Answers of the flood that may come while one request of another organization is under way: two full rounds.
OVERTAKEN = 2 * LIMIT + 20


def catalogue(url: str, limit: str = f"max_concurrency: {LIMIT}") -> str:
    endpoint = 'max_completion_tokens: 64, prices: {prompt: "0", completion: "0"}'
    return f"""
providers:
  - {{slug: narrow, name: Narrow, wire: openai, base_url: "{url}", queue_wait_s: 60, {limit}}}
  - {{slug: single, name: Single, wire: openai, base_url: "{url}", max_concurrency: 1}}
  - {{slug: unqueued, name: Unqueued, wire: openai, base_url: "{url}", max_concurrency: 1, queue_length: 0}}
  - {{slug: wide, name: Wide, wire: openai, base_url: "{url}"}}
models:
  - {{slug: acme/narrow, name: Narrow, context_length: 8192, input_modalities: [text], output_modalities: [text],
     endpoints: [{{provider: narrow, upstream_model: narrow, {endpoint}}}]}}
  - {{slug: acme/single, name: Single, context_length: 8192, input_modalities: [text], output_modalities: [text],
     endpoints: [{{provider: single, upstream_model: single, {endpoint}}},
                 {{provider: wide, upstream_model: wide, {endpoint}}}]}}
  - {{slug: acme/unqueued, name: Unqueued, context_length: 8192, input_modalities: [text], output_modalities: [text],
     endpoints: [{{provider: unqueued, upstream_model: unqueued, {endpoint}}},
                 {{provider: wide, upstream_model: wide, {endpoint}}}]}}
  - {{slug: acme/tight, name: Tight, context_length: 8192, input_modalities: [text], output_modalities: [text],
     endpoints: [{{provider: wide, upstream_model: tight, max_concurrency: 3, {endpoint}}},
                 {{provider: wide, tag: wide/free, upstream_model: loose, {endpoint}}}]}}
"""


def keys_of(product: Product) -> dict[str, str]:
    return {name: product.issue_key(f"{name}@example.com", "10") for name in ("alice", "bob")}


class Clients:
    def __init__(self, product: Product, keys: dict[str, str]) -> None:
        self.url = f"{product.url}/api/v1/chat/completions"
        self.keys = keys
        # A connection each, or one process would have all of them.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.AsyncClient(timeout=60, limits=limits)

    async def ask(self, who: str = "alice", model: str = "narrow", **fields: object) -> httpx.Response:
        body = {"model": f"acme/{model}", "messages": [{"role": "user", "content": "Hi"}], **fields}
        return await self.http.post(self.url, json=body, headers={"Authorization": f"Bearer {self.keys[who]}"})

    async def status(self, who: str = "alice") -> str:
        """Of one request over a connection of its own; empty if it broke. By hand: a thousand clients cost httpx more
        than they cost the gateways."""
        body = b'{"model": "acme/narrow", "messages": [{"role": "user", "content": "Hi"}]}'
        address = httpx.URL(self.url)
        head = f"POST {address.path} HTTP/1.1\r\nhost: {address.host}\r\nauthorization: Bearer {self.keys[who]}\r\n"
        try:
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            line = (await reader.read()).partition(b"\r\n")[0]
            writer.close()
        except OSError:
            return ""
        return line.split(b" ")[1].decode() if line else ""


DEAR = """
providers:
  - {{slug: busy, name: Busy, wire: openai, base_url: "{url}", max_concurrency: 1}}
  - {{slug: dear, name: Dear, wire: openai, base_url: "{url}"}}
models:
  - {{slug: acme/dear, name: Dear, context_length: 8192, input_modalities: [text], output_modalities: [text],
     endpoints: [
       {{provider: busy, upstream_model: busy, max_completion_tokens: 64, prices: {{prompt: "0", completion: "0"}}}},
       {{provider: dear, upstream_model: dear, max_completion_tokens: 64, prices: {{prompt: "1", completion: "1"}}}}]}}
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Upstream]:
    with upstream.running() as process:
        yield process


@pytest.fixture
def own(machine: Upstream) -> Upstream:
    machine.reset()
    return machine


@pytest.fixture(scope="module")
def steady(servers: Servers, machine: Upstream) -> Iterator[Product]:
    """For tests that leave it as it was."""
    with running(servers, catalogue=catalogue(machine.url), web=2) as product:
        yield product


@pytest.fixture(scope="module")
def keys(steady: Product) -> dict[str, str]:
    return keys_of(steady)


@pytest.fixture
def clients(steady: Product, own: Upstream, keys: dict[str, str]) -> Clients:
    return Clients(steady, keys)


@pytest.fixture
def gateway(servers: Servers, own: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(own.url), web=4) as product:
        yield product


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
async def test_a_flood_never_exceeds_the_limit_and_delays_nobody_else(
    gateway: Product, own: Upstream, killed: bool
) -> None:
    clients = Clients(gateway, keys_of(gateway))
    own.script("narrow", [{"sleep": 0.5}, text_reply()])
    answers: Counter[str] = Counter()

    async def one() -> None:
        answers[await clients.status()] += 1

    flood = [asyncio.create_task(one()) for _ in range(FLOOD)]
    while own.peak("narrow") < LIMIT // 2:
        await asyncio.sleep(0.05)
    if killed:
        os.kill(gateway.pids[0], signal.SIGKILL)
    overtaken = []
    while answers.total() < FLOOD - 2 * LIMIT:
        before = answers["200"]
        assert await clients.status("bob") == "200"
        overtaken.append(answers["200"] - before)
    await asyncio.gather(*flood)
    assert len(overtaken) >= 3, "the flood was over before it was put to the test"
    assert own.peak("narrow") <= LIMIT
    # All that is for one organization is in use, not less.
    assert own.peak("narrow") >= LIMIT - 8
    lost = answers.pop("", 0)
    assert (lost > 0) == killed
    assert answers.keys() == {"200"}
    assert max(overtaken) <= OVERTAKEN, overtaken


async def test_a_busy_provider_is_waited_for_or_left_to_the_next(clients: Clients, own: Upstream) -> None:
    own.script("single", [{"sleep": 0.3}, text_reply()])
    only = {"order": ["single"], "allow_fallbacks": False}
    waited = await asyncio.gather(*(clients.ask(model="single", provider=only) for _ in range(5)))
    assert [answer.status_code for answer in waited] == [200] * 5
    assert own.peak("single") == 1
    own.script("single", [{"sleep": 3}, text_reply()])
    first = asyncio.create_task(clients.ask(model="single", provider={"order": ["single"]}))
    while own.peak("single") == 0 or len(own.seen("single")) < 6:
        await asyncio.sleep(0.02)
    second = await clients.ask(model="single", provider={"order": ["single"]})
    assert second.json()["provider"] == "Wide"
    assert (await first).json()["provider"] == "Single"
    assert own.peak("single") == 1


async def test_streams_leave_their_place_whatever_ends_them(clients: Clients, own: Upstream) -> None:
    only = {"order": ["single"], "allow_fallbacks": False}
    own.script("single", [*text_stream()[:2], {"stall": True}])
    for _ in range(3):
        with pytest.raises(httpx.ReadTimeout):
            await clients.http.post(
                clients.url,
                json={
                    "model": "acme/single",
                    "messages": [{"role": "user", "content": "Hi"}],
                    "provider": only,
                    "stream": True,
                },
                headers={"Authorization": f"Bearer {clients.keys['alice']}"},
                timeout=httpx.Timeout(30, read=1.5),
            )
    own.reset()
    assert (await clients.ask(model="single", provider=only)).status_code == 200
    assert own.peak("single") == 1


async def test_a_limit_holds_for_who_waits_as_soon_as_it_is_changed(
    steady: Product, clients: Clients, own: Upstream
) -> None:
    own.script("narrow", [{"sleep": 2}, text_reply()])
    await asyncio.to_thread(steady.sql, "UPDATE providers_provider SET max_concurrency = 2 WHERE slug = 'narrow'")
    await asyncio.sleep(1)
    waiting = [asyncio.create_task(clients.ask()) for _ in range(12)]
    while len(own.seen("narrow")) < 2:
        await asyncio.sleep(0.05)
    assert own.peak("narrow") == 2
    await asyncio.to_thread(steady.sql, "UPDATE providers_provider SET max_concurrency = NULL WHERE slug = 'narrow'")
    changed = time.monotonic()
    while len(own.seen("narrow")) < 12:
        assert time.monotonic() - changed < 5
        await asyncio.sleep(0.05)
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_without_valkey_a_process_takes_its_part(servers: Servers, own: Upstream) -> None:
    with running(
        servers, catalogue=catalogue(own.url), web=2, env={"REDIS_URL": "unix:///nowhere.sock?db=0"}
    ) as product:
        clients = Clients(product, keys_of(product))
        own.script("narrow", [{"sleep": 0.2}, text_reply()])
        found = await asyncio.gather(*(clients.ask() for _ in range(40)))
        assert Counter(answer.status_code for answer in found) == {200: 40}


async def test_without_a_queue_the_next_is_asked_or_the_client_told_at_once(clients: Clients, own: Upstream) -> None:
    own.script("unqueued", [{"sleep": 4}, text_reply()])
    only = {"order": ["unqueued"], "allow_fallbacks": False}
    first = asyncio.create_task(clients.ask(model="unqueued", provider=only))
    while not own.seen("unqueued"):
        await asyncio.sleep(0.02)
    refused = await asyncio.gather(*(clients.ask(model="unqueued", provider=only) for _ in range(4)))
    for answer in refused:
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        error = answer.json()["error"]
        assert error["metadata"]["error_type"] == "rate_limit_exceeded"
        assert error["message"] == "Unqueued is at its limit of concurrent requests"
    moved = await clients.ask(model="unqueued", provider={"order": ["unqueued", "wide"]})
    assert moved.json()["provider"] == "Wide"
    assert not first.done(), "nobody was to wait for the one that is under way"
    assert (await first).status_code == 200
    assert own.peak("unqueued") == 1


async def test_an_endpoint_has_a_limit_of_its_own(steady: Product, clients: Clients, own: Upstream) -> None:
    own.script("tight", [{"sleep": 0.2}, text_reply()])
    only = {"order": ["wide"], "allow_fallbacks": False}
    # Both endpoints are the provider's: at the one with the limit three at once, the rest at the other.
    found = await asyncio.gather(*(clients.ask(model="tight", provider={"only": ["wide"]}) for _ in range(30)))
    assert {answer.status_code for answer in found} == {200}
    assert own.peak("tight") <= 3
    await asyncio.to_thread(steady.sql, "UPDATE providers_endpoint SET is_draining = true WHERE tag = 'wide/free'")
    await asyncio.sleep(1)
    found = await asyncio.gather(*(clients.ask(model="tight", provider=only) for _ in range(20)))
    assert {answer.status_code for answer in found} == {200}
    assert own.peak("tight") == 3
    change = "UPDATE providers_endpoint SET max_concurrency = %s WHERE upstream_model = 'tight'"
    for limit, seen in ((1, {1}), (None, set(range(4, 13))), (3, {3})):
        await asyncio.to_thread(steady.sql, change, [limit])
        await asyncio.sleep(1)
        own.reset()
        own.script("tight", [{"sleep": 0.4}, text_reply()])
        found = await asyncio.gather(*(clients.ask(model="tight", provider=only) for _ in range(12)))
        assert {answer.status_code for answer in found} == {200}
        assert own.peak("tight") in seen
    await asyncio.to_thread(steady.sql, "UPDATE providers_endpoint SET is_draining = false WHERE tag = 'wide/free'")


async def test_what_has_no_limit_leaves_the_leases_alone(steady: Product, clients: Clients, own: Upstream) -> None:
    valkey = redis.Redis.from_url(steady.environment["REDIS_URL"], decode_responses=True)
    for name in ("wide", "tight"):
        own.script(name, [{"sleep": 1.5}, text_reply()])
    only = {"order": ["wide"], "allow_fallbacks": False}
    under_way = [asyncio.create_task(clients.ask(model="single", provider=only)) for _ in range(5)]
    under_way.append(
        asyncio.create_task(clients.ask(model="tight", provider={"only": ["wide"], "ignore": ["wide/free"]}))
    )
    while len(own.seen("wide")) < 5 or not own.seen("tight"):
        await asyncio.sleep(0.02)
    tight = await asyncio.to_thread(steady.sql, "SELECT id FROM providers_endpoint WHERE upstream_model = 'tight'")
    # What a test before this one had under way at other providers may still be there.
    held = {name.removeprefix("turnpike:slots:") for name in valkey.scan_iter("turnpike:slots:*")}
    assert {name for name in held if name.startswith("endpoint:")} == {f"endpoint:{tight[0][0]}"}
    assert "wide" not in held
    assert {answer.status_code for answer in await asyncio.gather(*under_way)} == {200}


async def test_who_can_pay_for_nobody_else_waits_for_the_busy_one(servers: Servers, own: Upstream) -> None:
    own.script("busy", [{"sleep": 2.5}, text_reply()])
    with running(servers, catalogue=DEAR.format(url=own.url)) as product:
        clients = Clients(product, {"alice": product.issue_key("poor@example.com", "0.01")})
        first, second = await asyncio.gather(clients.ask(model="dear"), clients.ask(model="dear"))
    assert [first.status_code, second.status_code] == [200, 200], second.text
    assert {first.json()["provider"], second.json()["provider"]} == {"Busy"}
