"""Streams whose hold grows as they go, and what happens when it cannot."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.services import Product
from tests.sse import content, events
from tests.upstream import Upstream, chunk
from tests.waiting import until

pytestmark = pytest.mark.thorough

# acme/one: 1 µUSD a token of prompt, 2 of answer; 1,024 tokens of answer at most.
COMPLETION = 2e-6


@pytest.fixture
def poor(shared: Product) -> Callable[[str], httpx.Client]:
    """A client of an organization of its own with so many USD."""
    count = iter(range(1000))

    def make(credits: str) -> httpx.Client:
        key = shared.issue_key(f"poor{next(count)}-{credits}@example.com", credits)
        return shared.api(key)

    return make


def ask(client: httpx.Client, model: str = "acme/one", **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True, **fields}
    return client.post("/chat/completions", json=body)


def steps(tokens: int, *, pause: float = 0.0, every: int = 20) -> list[dict[str, Any]]:
    """So many tokens of four bytes, `every` in a chunk, and the provider's exact count."""
    parts: list[dict[str, Any]] = []
    for _ in range(tokens // every):
        parts += [chunk({"content": "abcd" * every}), {"sleep": pause}]
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
    return [*parts, chunk({}, "stop"), {"chunk": {"id": "up-1", "choices": [], "usage": usage}}, {"done": True}]


def spent(shared: Product, client: httpx.Client) -> float:
    return float(client.get("/credits").json()["data"]["total_usage"])


def test_a_stream_that_needs_more_than_its_first_slice_goes_on_to_its_end(
    poor: Callable[[str], httpx.Client], script: Upstream, shared: Product
) -> None:
    # The first slice is a quarter: about 225 of 1,000 tokens.
    script.script("one-primary", steps(1000, pause=0.005))
    with poor("0.0025") as client:
        response = ask(client)
        *chunks, usage, done = events(response)
        assert done == "[DONE]"
        assert len(content(chunks)) == 4000
        assert usage["choices"][0]["finish_reason"] == "stop"
        assert usage["usage"]["cost"] == pytest.approx(1000 * COMPLETION + 10e-6, abs=1e-12)
        assert spent(shared, client) == pytest.approx(usage["usage"]["cost"], abs=1e-9)
    assert script.seen()[0]["body"]["max_tokens"] == 1024
    assert shared.sql("SELECT count(*) FROM billing_hold") == [(0,)]


def test_a_stream_that_cannot_be_extended_ends_with_length_and_is_charged(
    poor: Callable[[str], httpx.Client], script: Upstream, shared: Product
) -> None:
    script.script("one-primary", steps(1000, pause=0.02))
    with poor("0.001") as client:
        response = ask(client)
        *chunks, usage, done = events(response)
        assert done == "[DONE]"
        assert "error" not in usage
        assert usage["choices"][0]["finish_reason"] == "length"
        tokens = len(content(chunks)) // 4
        assert 400 <= tokens < 520
        assert usage["usage"]["completion_tokens"] == tokens
        # Estimated, as the provider was stopped before it counted.
        assert usage["usage"]["cost"] == pytest.approx(tokens * COMPLETION + usage["usage"]["prompt_tokens"] * 1e-6)
        assert usage["usage"]["cost"] <= 0.001
        assert spent(shared, client) == pytest.approx(usage["usage"]["cost"], abs=1e-9)
    seen = script.seen()[0]
    assert seen["left_at"], "the provider goes on"
    newest = "SELECT outcome, finish_reason, is_estimated, write_off FROM billing_generation ORDER BY id DESC LIMIT 1"
    assert shared.sql(newest) == [("ok", "length", True, 0)]
    assert shared.sql("SELECT count(*) FROM billing_hold") == [(0,)]


def test_two_streams_share_what_is_left_and_overdraw_nothing(
    poor: Callable[[str], httpx.Client], script: Upstream, shared: Product
) -> None:
    script.script("one-primary", steps(1000, pause=0.01))
    with (
        poor("0.0015") as client,
        client.stream(
            "POST",
            "/chat/completions",
            json={"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
        ) as first,
    ):
        second = events(ask(client))
        told = [json.loads(line[6:]) for line in first.iter_lines() if line.startswith("data: {")]
        ends = [second[-2], told[-1]]
        assert {end["choices"][0]["finish_reason"] for end in ends} == {"length"}
        total = sum(end["usage"]["cost"] for end in ends)
        assert 0.001 < total <= 0.0015 + 1e-12
        assert spent(shared, client) == pytest.approx(total, abs=1e-9)


def test_a_limit_of_the_key_ends_a_stream_too(script: Upstream, shared: Product, api: httpx.Client) -> None:
    manager = shared.issue_key("limited@example.com", "10", management=True)
    keys = httpx.post(
        f"{shared.url}/api/v1/keys", headers={"Authorization": f"Bearer {manager}"}, json={"name": "k", "limit": 0.001}
    )
    script.script("one-primary", steps(1000, pause=0.01))
    headers = {"Authorization": f"Bearer {keys.json()['key']}"}
    with httpx.Client(base_url=f"{shared.url}/api/v1", headers=headers, timeout=30) as client:
        usage = events(ask(client))[-2]
    assert usage["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["cost"] <= 0.001


def test_the_estimate_for_a_client_that_left_is_no_more_than_it_asked_for(
    script: Upstream, shared: Product, api: httpx.Client
) -> None:
    script.script("one-primary", [chunk({"content": "x" * 400}), {"stall": True}])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 20}
    with api.stream("POST", "/chat/completions", json=body) as response:
        assert next(response.iter_lines())
    newest = "SELECT outcome, completion_tokens FROM billing_generation ORDER BY id DESC LIMIT 1"
    until(lambda: shared.sql(newest) == [("cancelled", 20)])


@pytest.mark.parametrize("stream", [True, False])
def test_a_dearer_fallback_is_paid_by_an_extension_or_skipped(
    product: Callable[..., Product], provider: Upstream, stream: bool
) -> None:
    provider.reset()
    catalogue = f"""
providers:
  - {{slug: cheap, name: Cheap, wire: openai, base_url: "{provider.url}", api_key: k}}
  - {{slug: dear, name: Dear, wire: openai, base_url: "{provider.url}", api_key: k}}
models:
  - slug: acme/m
    name: M
    context_length: 8192
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {{provider: cheap, tag: cheap, upstream_model: cheap, max_completion_tokens: 100,
         prices: {{prompt: "0.000001", completion: "0.000002"}}}}
      - {{provider: dear, tag: dear, upstream_model: dear, max_completion_tokens: 100,
         prices: {{prompt: "0.00001", completion: "0.00002"}}}}
"""
    provider.script("cheap", [{"status": 503, "reply": {"error": {"message": "no"}}}])
    gateway = product(catalogue=catalogue)
    order = {"order": ["cheap", "dear"]}
    outcomes = {}
    for credits in ("0.0012", "0.0005"):
        key = gateway.issue_key(f"c{credits}@example.com", credits)
        outcomes[credits] = gateway.ask(key, "acme/m", provider=order, stream=stream)
    assert outcomes["0.0012"].status_code == 200
    assert "Hello" in outcomes["0.0012"].text
    assert outcomes["0.0005"].status_code == 503
    assert [seen["body"]["model"] for seen in provider.seen()] == ["cheap", "dear", "cheap"]
    assert gateway.sql("SELECT count(*) FROM billing_hold") == [(0,)]
