"""Which provider answers: `provider.order`, `only`, `ignore`, `allow_fallbacks`, `models`, and refusals."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.services import Product
from tests.upstream import Upstream, chunk, failure

Ask = Callable[..., httpx.Response]


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        ({"order": ["secondary"]}, "Secondary"),
        ({"order": ["tertiary", "secondary"]}, "Tertiary"),
        ({"order": ["TERTIARY"]}, "Tertiary"),
        ({"only": ["secondary"]}, "Secondary"),
        ({"ignore": ["primary", "tertiary"]}, "Secondary"),
        ({"only": ["primary", "secondary"], "ignore": ["Primary"]}, "Secondary"),
        ({"order": ["nobody", "tertiary"]}, "Tertiary"),
    ],
)
def test_preferences_choose_the_provider(
    ask: Ask, script: Upstream, preferences: dict[str, Any], expected: str
) -> None:
    assert ask(model="acme/three", provider=preferences).json()["provider"] == expected


@pytest.mark.parametrize("preferences", [{"only": ["nobody"]}, {"ignore": ["primary", "secondary", "tertiary"]}])
def test_nothing_left_is_404_and_says_why(ask: Ask, preferences: dict[str, Any]) -> None:
    response = ask(model="acme/three", provider=preferences)
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["availability"]["excluded_by"] == ["allowed_providers"]
    assert f"provider.{next(iter(preferences))}" in error["message"]


def test_without_fallbacks_only_the_first_choice_is_tried(ask: Ask, script: Upstream) -> None:
    script.script("three-secondary", failure(500))
    response = ask(model="acme/three", provider={"order": ["secondary"], "allow_fallbacks": False})
    assert response.status_code == 502
    assert len(script.seen()) == 1


def test_models_are_tried_after_model_in_their_order(ask: Ask, script: Upstream) -> None:
    script.script("one-primary", failure(503))
    body = ask(model="acme/one", models=["acme/other", "acme/three"]).json()
    assert (body["model"], body["provider"]) == ("acme/other", "Tertiary")


def test_models_alone_are_enough(ask: Ask, script: Upstream) -> None:
    assert ask(model=None, models=["acme/other"]).json()["model"] == "acme/other"


@pytest.mark.parametrize(
    ("preferences", "field"),
    [
        ({"order": "primary"}, "provider.order"),
        ({"only": [5]}, "provider.only[0]"),
        ({"ignore": [""]}, "provider.ignore[0]"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks"),
        ({"require_parameters": 1}, "provider.require_parameters"),
        ({"data_collection": "never"}, "provider.data_collection"),
        ({"zdr": "yes"}, "provider.zdr"),
        ({"enforce_distillable_text": "yes"}, "provider.enforce_distillable_text"),
        ({"quantizations": ["fp7"]}, "provider.quantizations[0]"),
        ({"sort": "beauty"}, "provider.sort"),
        ({"sort": {"by": "price", "partition": "all"}}, "provider.sort.partition"),
        ({"max_price": {"prompt": "cheap"}}, "provider.max_price.prompt"),
        ({"max_price": {"completion": -1}}, "provider.max_price.completion"),
        ({"preferred_min_throughput": "fast"}, "provider.preferred_min_throughput"),
        ({"preferred_max_latency": {"p90": -2}}, "provider.preferred_max_latency.p90"),
    ],
)
def test_wrong_preferences_are_400_and_named(ask: Ask, preferences: dict[str, Any], field: str) -> None:
    response = ask(model="acme/three", provider=preferences)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("body", "excluded_by"),
    [
        ({"provider": {"data_collection": "deny"}}, "data_policy:training"),
        ({"provider": {"zdr": True}}, "data_policy:zdr"),
        ({"provider": {"quantizations": ["fp8"]}}, "quantization"),
        ({"provider": {"max_price": {"prompt": "0.5"}}}, "max_price"),
        ({"provider": {"require_parameters": True}, "top_k": 3}, "require_parameters"),
        ({"max_tokens": 5000}, "max_tokens"),
        ({"content": "word " * 40_000}, "context_length"),
        ({"modalities": ["text", "image"]}, "output_modalities"),
    ],
)
def test_filters_reach_the_api(ask: Ask, script: Upstream, body: dict[str, Any], excluded_by: str) -> None:
    response = ask(model="acme/three", **body)
    assert response.status_code == 404
    assert response.json()["error"]["availability"]["excluded_by"] == [excluded_by]
    assert not script.seen()


@pytest.mark.parametrize(
    "body",
    [
        {"provider": {"max_price": {"prompt": 1, "completion": "2"}}},
        {
            "provider": {"require_parameters": True},
            "temperature": 0.1,
            "tools": [{"type": "function", "function": {"name": "f"}}],
        },
        {"provider": {"sort": {"by": "latency"}, "preferred_max_latency": {"p50": 1, "p99": 3}}},
        {"model": "acme/three:nitro"},
        {"model": "acme/three:floor", "route": "fallback", "service_tier": "auto"},
    ],
)
def test_preferences_that_hold_are_answered(ask: Ask, script: Upstream, body: dict[str, Any]) -> None:
    answer = ask(**{"model": "acme/three", **body}).json()
    assert answer["model"] == "acme/three"


TOLD = {"X-OpenRouter-Metadata": "enabled"}


def told(api: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": "acme/three", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return api.post("/chat/completions", json=body, headers=TOLD, timeout=30)


def test_routing_is_told_to_who_asks(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    script.script("three-secondary", failure(503))
    order = {"order": ["secondary", "primary"]}
    found = told(api, provider=order).json()["openrouter_metadata"]
    assert (found["requested"], found["strategy"], found["attempt"]) == ("acme/three", "direct", 2)
    assert found["endpoints"]["total"] == 3
    assert [row["provider"] for row in found["endpoints"]["available"]] == ["Secondary", "Primary", "Tertiary"]
    assert [row["selected"] for row in found["endpoints"]["available"]] == [False, True, False]
    assert [(row["provider"], row["status"]) for row in found["attempts"]] == [("Secondary", 503), ("Primary", 200)]
    assert "openrouter_metadata" not in ask(model="acme/three").json()


def test_routing_is_told_on_the_last_chunk_and_in_errors(api: httpx.Client, script: Upstream) -> None:
    lines = [line for line in told(api, stream=True).text.splitlines() if line.startswith("data: {")]
    assert "openrouter_metadata" in lines[-1]
    assert not any("openrouter_metadata" in line for line in lines[:-1])
    script.script("one-primary", [{"drop": True}])
    answer = told(api, model="acme/one")
    assert answer.status_code == 502
    found = answer.json()["openrouter_metadata"]
    assert (found["attempt"], found["attempts"][0]["status"]) == (1, 502)
    assert not found["endpoints"]["available"][0]["selected"]


# Every path that answers with text, and what is asked there.
SKINS: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/completions": {"prompt": "Hi"},
    "/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50},
    "/responses": {"input": "Hi"},
}


@pytest.mark.parametrize("value", ["enabled", "Enabled", None, "disabled", "yes"])
@pytest.mark.parametrize("path", SKINS)
def test_every_skin_tells_it_on_request_only(api: httpx.Client, script: Upstream, path: str, value: str | None) -> None:
    headers = {"X-OpenRouter-Metadata": value} if value else {}
    answer = api.post(path, json={"model": "acme/three:nitro", **SKINS[path]}, headers=headers).json()
    if value not in ("enabled", "Enabled"):
        assert "openrouter_metadata" not in answer
        return
    found = answer["openrouter_metadata"]
    assert (found["requested"], found["strategy"], found["attempt"]) == ("acme/three:nitro", "direct", 1)
    assert [row["selected"] for row in found["endpoints"]["available"]] == [True, False, False]


@pytest.mark.parametrize("path", SKINS)
def test_every_skin_tells_it_at_the_end_of_a_stream_and_in_errors(
    api: httpx.Client, script: Upstream, path: str
) -> None:
    body = {"model": "acme/one", **SKINS[path]}
    text = api.post(path, json={**body, "stream": True}, headers=TOLD).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert "openrouter_metadata" in events[-1].get("response", events[-1])
    assert text.count("openrouter_metadata") == 1
    script.script("one-primary", failure(503))
    for refused in (
        api.post(path, json=body, headers=TOLD),
        api.post(path, json={**body, "stream": True}, headers=TOLD),
    ):
        assert refused.status_code == 503
        assert refused.json()["openrouter_metadata"]["attempts"] == [
            {"provider": "Primary", "model": "acme/one", "status": 503}
        ]


@pytest.mark.parametrize("path", SKINS)
def test_a_stream_that_breaks_off_tells_it_beside_its_error(api: httpx.Client, script: Upstream, path: str) -> None:
    script.script("one-primary", [chunk({"content": "word "}), {"sleep": 0.05}, {"drop": True}])
    text = api.post(path, json={"model": "acme/one", **SKINS[path], "stream": True}, headers=TOLD).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    last = events[-1].get("response", events[-1])
    assert last["error"]
    assert last["openrouter_metadata"]["attempt"] == 1


def test_a_model_that_another_stood_in_for_is_a_fallback(api: httpx.Client, script: Upstream) -> None:
    script.script("one-primary", failure(503))
    found = told(api, model="acme/one", models=["acme/other"]).json()["openrouter_metadata"]
    assert (found["requested"], found["strategy"]) == ("acme/one", "fallback")


@pytest.fixture
def priority(shared: Product) -> Iterator[None]:
    """One of the three endpoints is for who asks for it."""
    change = "UPDATE providers_endpoint SET service_tier = %s WHERE upstream_model = 'three-secondary'"
    shared.sql(change, ["priority"])
    time.sleep(1)
    yield
    shared.sql(change, [""])
    time.sleep(1)


@pytest.mark.thorough
def test_the_tier_that_served_is_told_by_every_skin(priority: None, api: httpx.Client, script: Upstream) -> None:
    def asked(path: str, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = api.post(path, json={"model": "acme/three", **SKINS[path], **fields}).json()
        return answer

    for tier in ("priority", "fast"):
        found = asked("/chat/completions", service_tier=tier)
        assert (found["provider"], found["service_tier"]) == ("Secondary", "priority")
    assert asked("/messages", speed="fast")["usage"]["service_tier"] == "priority"
    assert asked("/messages")["usage"]["service_tier"] == "standard"
    assert asked("/responses", service_tier="priority")["service_tier"] == "priority"
    assert asked("/responses")["service_tier"] == "default"
    # Nobody comes there without asking, and who does falls back on the others.
    assert {asked("/chat/completions")["provider"] for _ in range(8)} <= {"Primary", "Tertiary"}
    script.script("three-secondary", failure(503))
    assert asked("/chat/completions", service_tier="priority")["provider"] in ("Primary", "Tertiary")
    rows = api.get("/models/acme/three/endpoints").json()["data"]["endpoints"]
    tiers = {row["tag"]: row["service_tier"] for row in rows}
    assert tiers == {"primary": None, "secondary": "priority", "tertiary": None}
