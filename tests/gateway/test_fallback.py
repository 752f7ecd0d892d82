"""Fallback: which failures move on, which end the request, and what a dying provider does to requests under way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests import upstream
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.sse import content, events
from tests.upstream import Step, Upstream, chunk, failure, text_stream

Ask = Callable[..., httpx.Response]
ORDER = {"order": ["primary", "secondary", "tertiary"]}


@pytest.mark.parametrize(
    "steps",
    [
        failure(500),
        failure(502),
        failure(503),
        failure(529),
        failure(429, retry_after="7"),
        failure(408),
        failure(401),
        failure(402),
        failure(403),
        failure(404),
        [{"drop": True}],
        [{"reply": "this is not JSON"}],
        [{"reply": {"choices": []}}],
        [{"status": 302, "reply": {}}],
        [{"status": 204, "reply": {}}],
    ],
    ids=lambda steps: str(next(iter(steps))),
)
@pytest.mark.parametrize("stream", [False, True])
def test_moves_on(ask: Ask, script: Upstream, steps: list[Step], stream: bool) -> None:
    script.script("three-primary", steps)
    response = ask(model="acme/three", provider=ORDER, stream=stream)
    assert response.status_code == 200
    body = events(response)[0] if stream else response.json()
    assert body["provider"] == "Secondary"


def test_moves_on_twice_and_lists_the_attempts(ask: Ask, api: httpx.Client, script: Upstream) -> None:
    script.script("three-primary", failure(500))
    script.script("three-secondary", failure(429))
    body = ask(model="acme/three", provider=ORDER).json()
    assert body["provider"] == "Tertiary"
    found = api.get("/generation", params={"id": body["id"]}).json()["data"]
    attempts = [(one["provider_name"], one["status"]) for one in found["provider_responses"]]
    assert attempts == [("Primary", 500), ("Secondary", 429), ("Tertiary", 200)]


@pytest.mark.parametrize(
    ("steps", "status", "error_type"),
    [
        (failure(500), 502, "provider_unavailable"),
        (failure(503), 503, "provider_overloaded"),
        (failure(429, retry_after="7"), 429, "rate_limit_exceeded"),
        (failure(504), 524, "timeout"),
        ([{"drop": True}], 502, "provider_unavailable"),
    ],
)
def test_when_all_fail_the_last_failure_is_told(
    ask: Ask, script: Upstream, steps: list[Step], status: int, error_type: str
) -> None:
    for name in ("primary", "secondary", "tertiary"):
        script.script(f"three-{name}", steps)
    response = ask(model="acme/three", provider=ORDER)
    assert response.status_code == status
    metadata = response.json()["error"]["metadata"]
    assert metadata["error_type"] == error_type
    assert metadata["provider_name"] == "Tertiary"
    assert [one["provider"] for one in metadata["previous_errors"]] == ["Primary", "Secondary"]
    assert ("Retry-After" in response.headers) == (status in (429, 503))
    if status == 429:
        assert response.headers["Retry-After"] == "7"


def test_the_operators_empty_account_is_not_the_clients_business(ask: Ask, script: Upstream) -> None:
    told = {"error": {"message": "Check your plan and billing details", "code": "insufficient_quota"}}
    script.script("one-primary", [{"status": 429, "reply": told}])
    response = ask()
    assert response.status_code == 502
    assert "billing" not in response.text


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_at_fault_ends_at_once(ask: Ask, script: Upstream, status: int) -> None:
    script.script("three-primary", failure(status, "temperature is off"))
    response = ask(model="acme/three", provider=ORDER)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "temperature is off"
    assert len(script.seen()) == 1


def test_too_long_a_context_goes_to_the_next_model_only(ask: Ask, script: Upstream) -> None:
    script.script("three-primary", failure(400, "maximum context length is 8192 tokens"))
    body = ask(model="acme/three", models=["acme/other"], provider=ORDER).json()
    assert body["model"] == "acme/other"
    assert len(script.seen()) == 2
    response = ask(model="acme/three", provider=ORDER)
    assert response.json()["error"]["metadata"]["error_type"] == "context_length_exceeded"


def test_a_role_alone_commits_nothing(ask: Ask, script: Upstream) -> None:
    script.script("three-primary", [chunk({"role": "assistant", "content": ""}), {"sleep": 0.2}, {"drop": True}])
    response = ask(model="acme/three", provider=ORDER, stream=True)
    assert response.status_code == 200
    assert {one["provider"] for one in events(response) if one != "[DONE]"} == {"Secondary"}


def test_a_comment_commits_the_status_and_not_the_provider(ask: Ask, script: Upstream) -> None:
    script.script("three-primary", [{"sleep": 1.3}, *failure(500)])
    response = ask(model="acme/three", provider=ORDER, stream=True)
    assert response.text.startswith(": OPENROUTER PROCESSING\n\n")
    assert content(events(response)) == "Hellofromupstream"


@pytest.fixture
def dying(servers: Servers) -> Iterator[tuple[Product, Upstream, Upstream]]:
    """A product whose primary is a process of its own, to be killed."""
    with upstream.running() as primary, upstream.running() as others:
        lines = catalogue(others.url).replace(others.url, primary.url, 1)
        with running(servers, catalogue=lines, web=2) as product:
            yield product, primary, others


async def test_a_provider_killed_under_load_loses_no_request_that_had_no_content(
    dying: tuple[Product, Upstream, Upstream],
) -> None:
    product, primary, _ = dying
    key = product.issue_key()
    # Some are waiting for a first token, some in the middle of their answer, when it dies.
    waiting = [{"sleep": 0.9}, *text_stream()]
    talking = [chunk({"content": "word "}), {"sleep": 20}, *text_stream()]
    primary.script("three-primary", waiting)
    primary.script("one-primary", talking)
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=300)

    async with httpx.AsyncClient(base_url=product.url, headers=headers, timeout=30, limits=limits) as client:

        async def post(model: str, **fields: Any) -> httpx.Response:
            body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
            return await client.post("/api/v1/chat/completions", json=body)

        plain = [asyncio.create_task(post("acme/three", provider=ORDER)) for _ in range(50)]
        streams = [asyncio.create_task(post("acme/three", provider=ORDER, stream=True)) for _ in range(50)]
        sending = [asyncio.create_task(post("acme/one", stream=True)) for _ in range(20)]
        while len(await asyncio.to_thread(primary.seen)) < 120:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(primary.kill)
        later = [asyncio.create_task(post("acme/three", provider=ORDER)) for _ in range(50)]
        answers = await asyncio.gather(*plain, *later)
        streamed = await asyncio.gather(*streams)
        cut = await asyncio.gather(*sending)

    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert {answer.json()["provider"] for answer in answers} == {"Secondary"}
    assert Counter(answer.status_code for answer in streamed) == {200: 50}
    assert {content(events(answer)) for answer in streamed} == {"Hellofromupstream"}
    for answer in cut:
        *_, error, done = events(answer)
        assert (error["error"]["code"], done) == (502, "[DONE]")
    assert product.sql("SELECT count(*) FROM billing_hold") == [(0,)]
    assert product.sql("SELECT sum(charge) FROM billing_generation WHERE outcome = 'error'") == [(0,)]
    assert product.sql("SELECT sum(charge) - (SELECT spent FROM billing_wallet) FROM billing_generation") == [(0,)]
