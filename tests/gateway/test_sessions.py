"""Sticky sessions: a conversation goes on where its prompt is cached."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from gateway.routing.sessions import KEPT_S, Sessions
from providers.canonical import Usage
from providers.pricing import Price
from tests.endpoints import endpoint, request
from tests.services import Product
from tests.upstream import Upstream, text_reply

pytestmark = pytest.mark.thorough

CACHING = endpoint("caching", Price(1, 1000, 1000, input_cache_read=100))
PLAIN = endpoint("plain")
CACHED, UNCACHED = Usage(prompt=100, completion=5, cached=80), Usage(prompt=100, completion=5)
ORGANIZATION = uuid4()


class Memory:
    """Sessions with a clock of their own."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.now = 1000.0

    def used(self, usage: Usage = CACHED, at: Any = CACHING, *, session: str = "", **fields: Any) -> None:
        self.sessions.used(ORGANIZATION, request(**fields), session, at, usage, self.now)

    def find(self, *, organization: UUID = ORGANIZATION, session: str = "", **fields: Any) -> str | None:
        place = self.sessions.find(organization, request(**fields), session, self.now)
        return place.model if place else None


def conversation(*later: str, system: str = "Be brief.") -> dict[str, Any]:
    said = [{"role": "user", "content": text} for text in ("Hello", *later)]
    return {"messages": [{"role": "system", "content": system}, *said]}


def test_what_used_the_cache_is_found_again_by_how_it_began() -> None:
    memory = Memory()
    memory.used(**conversation())
    assert memory.find(**conversation("and", "then")) == "acme/m"
    assert memory.find(**conversation(system="Be long.")) is None
    assert memory.find(**conversation(), organization=uuid4()) is None
    assert memory.find(**conversation(), model="acme/other") is None


def test_what_used_no_cache_is_kept_only_with_a_session() -> None:
    memory = Memory()
    memory.used(UNCACHED, **conversation())
    assert memory.find(**conversation()) is None
    memory.used(UNCACHED, session="mine")
    assert memory.find(**conversation(), session="mine") == "acme/m"
    memory.used(UNCACHED, prompt_cache_key="key")
    assert memory.find(prompt_cache_key="key") == "acme/m"
    # The body's word goes before the header's.
    assert memory.find(session="other", session_id="mine") == "acme/m"


def test_no_saving_or_an_order_of_ones_own_keeps_nothing() -> None:
    memory = Memory()
    memory.used(at=PLAIN, session="mine")
    memory.used(session="mine", provider={"order": ["caching"]})
    assert memory.find(session="mine") is None


def test_it_ends_ten_minutes_after_the_last_use() -> None:
    memory = Memory()
    memory.used(session="mine")
    memory.now += KEPT_S - 1
    memory.used(session="mine")
    memory.now += KEPT_S - 1
    assert memory.find(session="mine")
    memory.now += 2
    assert memory.find(session="mine") is None
    memory.sessions.forget_old(memory.now)
    assert not memory.sessions._kept


def test_news_are_told_once_and_again_after_a_while() -> None:
    memory, other = Memory(), Memory()
    memory.used(session="mine")
    news = memory.sessions.news()
    assert len(news) == 1
    memory.used(session="mine")
    assert not memory.sessions.news()
    for name, place in news:
        other.sessions.learn(name, place, other.now)
    assert other.find(session="mine") == "acme/m"
    assert not other.sessions.news()
    memory.now += 61
    memory.used(session="mine")
    assert len(memory.sessions.news()) == 1


def where(client: httpx.Client, count: int = 1, **fields: Any) -> list[str]:
    body = {"model": "acme/three", "messages": [{"role": "user", "content": "Hi"}], **fields}
    answers = [client.post("/chat/completions", json=body).json() for _ in range(count)]
    return [answer["provider"] for answer in answers]


def test_a_session_stays_with_its_provider(
    api: httpx.Client, script: Upstream, ask: Callable[..., httpx.Response]
) -> None:
    first = where(api, session_id="one")
    assert where(api, 8, session_id="one") == first * 8
    # Three equal providers: without a session 24 requests would all go to one of them once in a million years. Those
    # that failed in a test before come back.
    deadline = time.monotonic() + 60
    while len(set(where(api, 24))) == 1:
        assert time.monotonic() < deadline


def test_a_conversation_stays_once_it_used_the_cache(api: httpx.Client, script: Upstream) -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 40}}
    for name in ("primary", "secondary", "tertiary"):
        script.script(f"three-{name}", [text_reply(usage=usage)])
    messages = [{"role": "system", "content": f"Of {uuid4()}"}, {"role": "user", "content": "Hello"}]
    first = where(api, messages=messages)
    for turn in range(8):
        messages = [*messages, {"role": "user", "content": f"And {turn}?"}]
        assert where(api, messages=messages) == first


@pytest.mark.slow
def test_other_processes_know_within_two_seconds(
    product: Callable[..., Product], provider: Upstream, shared: Product
) -> None:
    catalogue = (shared.directory / "catalogue.yaml").read_text()
    running = product(catalogue=catalogue, web=3)
    key = running.issue_key()
    with running.api(key) as client:
        first = where(client, session_id="shared")
    time.sleep(2.5)
    found = []
    for _ in range(12):
        # A connection of its own each time, so that any of the processes takes it.
        with running.api(key) as client:
            found += where(client, session_id="shared")
    assert found == first * 12
