"""POST /api/v1/chat/completions, streamed."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.services import Product
from tests.sse import content, events
from tests.upstream import ANSWER, Step, Upstream, chunk, failure, text_stream
from tests.waiting import until

Ask = Callable[..., httpx.Response]
HELLO = "Hellofromupstream"


def generation(api: httpx.Client, public_id: str) -> dict[str, Any]:
    """The record, as soon as it is there."""

    def fetch() -> httpx.Response | None:
        response = api.get("/generation", params={"id": public_id})
        return response if response.status_code == 200 else None

    data: dict[str, Any] = until(fetch).json()["data"]
    return data


def test_ends_as_the_reference_says(ask: Ask, script: Upstream) -> None:
    response = ask(stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, usage, done = events(response)
    assert done == "[DONE]"
    assert content(chunks) == HELLO
    assert {one["id"] for one in [*chunks, usage]} == {response.headers["X-Generation-Id"]}
    assert all(one["object"] == "chat.completion.chunk" for one in chunks)
    assert all(one["model"] == "acme/one" and one["provider"] == "Primary" for one in chunks)
    assert all(one["choices"][0]["delta"]["role"] == "assistant" for one in chunks)
    assert [one["choices"][0]["finish_reason"] for one in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all("usage" not in one for one in chunks)
    last = usage["choices"][0]
    assert (last["finish_reason"], last["native_finish_reason"]) == ("stop", "stop")
    assert last["delta"] == {"role": "assistant", "content": ""}
    assert usage["usage"]["cost"] == pytest.approx(0.000018, abs=1e-12)


def test_is_settled_before_done_and_recorded(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    response = ask(stream=True)
    found = api.get("/generation", params={"id": response.headers["X-Generation-Id"]}).json()["data"]
    assert found["streamed"] is True
    assert found["total_cost"] == events(response)[-2]["usage"]["cost"]
    assert (found["finish_reason"], found["cancelled"]) == ("stop", False)


def test_asks_upstream_for_usage(ask: Ask, script: Upstream) -> None:
    ask(stream=True)
    body = script.seen()[0]["body"]
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_parallel_tool_calls_keep_their_indexes(ask: Ask, script: Upstream) -> None:
    def call(index: int, **function: Any) -> dict[str, Any]:
        named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"index": index, **named, "function": function}

    script.script(
        "one-primary",
        [
            chunk({"role": "assistant", "content": None, "tool_calls": [call(0, name="f", arguments="")]}),
            chunk({"tool_calls": [call(0, arguments='{"a":'), call(1, name="g", arguments="{}")]}),
            chunk({"tool_calls": [call(0, arguments="1}")]}),
            chunk({}, "stop"),
            {"done": True},
        ],
    )
    *chunks, usage, _ = events(ask(stream=True, tools=[{"type": "function", "function": {"name": "f"}}]))
    fragments = [one for part in chunks for one in part["choices"][0]["delta"].get("tool_calls", [])]
    texts = {0: "", 1: ""}
    for fragment in fragments:
        texts[fragment["index"]] += fragment["function"]["arguments"]
    assert texts == {0: '{"a":1}', 1: "{}"}
    assert [one["id"] for one in fragments if "id" in one] == ["call_0", "call_1"]
    assert usage["choices"][0]["finish_reason"] == "tool_calls"


def test_several_answers_end_each_for_itself_and_the_first_is_told_of(
    ask: Ask, api: httpx.Client, script: Upstream
) -> None:
    def piece(index: int, text: str, finish: str | None = None) -> Step:
        return {"chunk": {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}}

    steps = [piece(0, "Ro"), piece(1, "Os"), piece(0, "me", "stop"), piece(1, "lo", "length"), {"done": True}]
    script.script("one-primary", steps)
    response = ask(stream=True, n=2)
    *chunks, usage, _ = events(response)
    texts = {0: "", 1: ""}
    ends: dict[int, str | None] = {}
    for choice in [one for part in chunks for one in part["choices"]]:
        texts[choice["index"]] += choice["delta"]["content"]
        ends[choice["index"]] = choice["finish_reason"] or ends.get(choice["index"])
    assert (texts, ends) == ({0: "Rome", 1: "Oslo"}, {0: "stop", 1: "length"})
    assert [(one["index"], one["finish_reason"]) for one in usage["choices"]] == [(0, "stop")]
    assert script.seen()[0]["body"]["n"] == 2
    assert generation(api, response.headers["X-Generation-Id"])["finish_reason"] == "stop"


def test_reasoning_content_is_reasoning(ask: Ask, script: Upstream) -> None:
    steps = [chunk({"reasoning_content": "hm", "content": None}), chunk({"content": "yes"}, "stop"), {"done": True}]
    script.script("one-primary", steps)
    chunks = events(ask(stream=True))
    delta = chunks[0]["choices"][0]["delta"]
    assert (delta["role"], delta["content"], delta["reasoning"]) == ("assistant", "", "hm")
    # What a client sends back on the next turn
    assert delta["reasoning_details"] == [{"type": "reasoning.text", "text": "hm", "format": "unknown", "index": 0}]


def test_excluded_reasoning_is_hidden(ask: Ask, script: Upstream) -> None:
    steps = [chunk({"reasoning_content": "hm", "content": None}), chunk({"content": "yes"}, "stop"), {"done": True}]
    script.script("one-primary", steps)
    for hidden in ({"reasoning": {"exclude": True}}, {"include_reasoning": False}):
        response = ask(stream=True, **hidden)
        assert content(events(response)) == "yes"
        assert "hm" not in response.text


def test_what_was_sent_upstream_is_told_to_who_asks(ask: Ask, script: Upstream) -> None:
    script.script("three-primary", failure(500))
    wanted = {"debug": {"echo_upstream_body": True}, "provider": {"order": ["primary", "secondary"]}}
    first, second, *rest = events(ask(model="acme/three", stream=True, **wanted))
    assert [one["choices"] for one in (first, second)] == [[], []]
    echoed = [one["debug"]["echo_upstream_body"] for one in (first, second)]
    assert echoed == [seen["body"] for seen in script.seen()]
    assert content(rest) == HELLO
    assert "debug" not in ask(stream=True).text


def test_missing_usage_is_estimated_and_said(ask: Ask, api: httpx.Client, script: Upstream, shared: Product) -> None:
    script.script("one-primary", text_stream(usage=None))
    response = ask(stream=True, content="x" * 400)
    usage = events(response)[-2]["usage"]
    assert usage["completion_tokens"] == -(-len(HELLO) // 4)
    assert usage["prompt_tokens"] > 100
    assert usage["cost"] > 0
    newest = "SELECT is_estimated FROM billing_generation ORDER BY id DESC LIMIT 1"
    assert shared.sql(newest) == [(True,)]


def test_a_slow_first_token_is_bridged_with_comments(ask: Ask, script: Upstream) -> None:
    script.script("one-primary", [{"sleep": 1.5}, *text_stream()])
    response = ask(stream=True)
    assert response.text.startswith(": OPENROUTER PROCESSING\n\n")
    assert content(events(response)) == HELLO


def test_failure_after_a_comment_is_an_error_chunk(ask: Ask, api: httpx.Client, script: Upstream) -> None:
    script.script("one-primary", [{"sleep": 1.5}, {"drop": True}])
    response = ask(stream=True)
    assert response.status_code == 200
    error, done = events(response)
    assert done == "[DONE]"
    assert error["error"]["code"] == 502
    assert error["error"]["metadata"]["error_type"] == "provider_unavailable"
    assert error["choices"][0]["finish_reason"] == "error"
    assert error["id"] == response.headers["X-Generation-Id"]
    assert generation(api, error["id"])["total_cost"] == 0


# The pause makes sure that the first half is out before the failure comes.
HALF: list[Step] = [chunk({"content": "half"}), {"sleep": 0.2}]
BROKEN: dict[str, list[Step]] = {
    "cut": [*HALF, {"drop": True}],
    "ended without finish": HALF,
    "error event": [*HALF, {"chunk": {"error": {"message": "overheated", "code": 500}}}],
    "not JSON": [*HALF, {"raw": "data: {nonsense\n\n"}],
}


@pytest.mark.parametrize("name", BROKEN)
def test_failure_in_the_middle_is_an_error_chunk_and_free(
    ask: Ask, api: httpx.Client, script: Upstream, name: str
) -> None:
    script.script("one-primary", BROKEN[name])
    response = ask(stream=True)
    assert response.status_code == 200
    first, error, done = events(response)
    assert content([first]) == "half"
    assert done == "[DONE]"
    assert error["error"]["code"] == 502
    assert error["error"]["metadata"]["provider_name"] == "Primary"
    assert error["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": ""},
            "finish_reason": "error",
            "native_finish_reason": None,
            "logprobs": None,
        }
    ]
    assert generation(api, response.headers["X-Generation-Id"])["total_cost"] == 0


def test_an_error_before_the_first_content_is_a_status(ask: Ask, script: Upstream) -> None:
    script.script("one-primary", [{"chunk": {"error": {"message": "overheated"}}}])
    response = ask(stream=True)
    assert response.status_code == 502
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["message"] == "overheated"


def test_events_split_anywhere_arrive_whole(ask: Ask, script: Upstream) -> None:
    text = "".join(
        f"data: {json.dumps(step['chunk'])}\r\n\r\n" if "chunk" in step else "data: [DONE]\r\n\r\n"
        for step in text_stream("grüße 你好")
    )
    script.script("one-primary", [part for one in text for part in ({"raw": one},)])
    assert content(events(ask(stream=True))) == "grüße你好"


def test_a_client_that_leaves_stops_the_provider_and_pays_for_what_came(
    api: httpx.Client, script: Upstream, shared: Product
) -> None:
    script.script("one-primary", [chunk({"content": "x" * 400}), {"stall": True}])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with api.stream("POST", "/chat/completions", json=body) as response:
        public_id = response.headers["X-Generation-Id"]
        assert next(response.iter_lines())
        left = time.time()
    seen = until(lambda: script.seen()[0].get("left_at") and script.seen()[0])
    # 100 ms is promised; a loaded test machine gets some more.
    assert seen["left_at"] - left < 1
    found = generation(api, public_id)
    assert found["cancelled"] is True
    assert found["native_tokens_completion"] == 100
    assert found["total_cost"] > 100 * 2e-6
    assert shared.sql("SELECT count(*) FROM billing_hold") == [(0,)]


def test_a_client_that_leaves_before_the_first_token_pays_nothing(
    api: httpx.Client, script: Upstream, shared: Product
) -> None:
    script.script("one-primary", [{"stall": True}])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
    for stream in (True, False):
        with pytest.raises(httpx.ReadTimeout):
            api.post("/chat/completions", json={**body, "stream": stream}, timeout=0.5)
        until(lambda: "left_at" in script.seen()[-1])
        until(lambda: shared.sql("SELECT count(*) FROM billing_hold") == [(0,)])
        newest = "SELECT outcome, charge FROM billing_generation ORDER BY id DESC LIMIT 1"
        assert shared.sql(newest) == [("cancelled", 0)]


def test_the_connection_is_used_again(ask: Ask, script: Upstream) -> None:
    for _ in range(3):
        assert events(ask(stream=True))[-1] == "[DONE]"
    assert ANSWER in ask().text
