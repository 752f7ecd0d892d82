"""POST /api/v1/messages: Anthropic's skin in front of a provider that speaks OpenAI's wire."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import pytest

from tests.services import Product
from tests.upstream import ANSWER, Step, Upstream, chunk, failure, text_reply, text_stream

pytestmark = pytest.mark.thorough

Say = Callable[..., httpx.Response]
USER = [{"role": "user", "content": "Hi"}]
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
TOOL = {"name": "weather", "description": "of a city", "input_schema": {"type": "object"}}


@pytest.fixture
def say(shared: Product, alice: str, script: Upstream) -> Iterator[Say]:
    with httpx.Client(base_url=f"{shared.url}/api/v1", headers={"x-api-key": alice}, timeout=30) as client:

        def post(messages: Any = USER, **fields: Any) -> httpx.Response:
            return client.post(
                "/messages", json={"model": "acme/one", "max_tokens": 100, "messages": messages, **fields}
            )

        yield post


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The payloads; each event's name must be its type."""
    found = []
    for event in response.text.split("\n\n"):
        if event.startswith("event: "):
            name, data = event.split("\n", 1)
            found.append(json.loads(data.removeprefix("data: ")))
            assert found[-1]["type"] == name.removeprefix("event: ")
    return found


def collected(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of a stream, which must come one after another."""
    blocks: list[dict[str, Any]] = []
    current: int | None = None
    for event in told:
        match event["type"]:
            case "content_block_start":
                assert current is None
                assert event["index"] == len(blocks)
                current = event["index"]
                blocks.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                assert event["index"] == current
                delta = {name: value for name, value in event["delta"].items() if name != "type"}
                for name, value in delta.items():
                    place = {"partial_json": "json"}.get(name, name)
                    blocks[-1][place] += value
            case "content_block_stop":
                assert event["index"] == current
                current = None
    assert current is None
    return blocks


def sent(script: Upstream) -> dict[str, Any]:
    body: dict[str, Any] = script.seen()[-1]["body"]
    return body


def test_answers_a_message_with_usage_and_cost(say: Say, api: httpx.Client, script: Upstream) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 60}}
    script.script("one-primary", [text_reply(usage=usage)])
    response = say()
    assert response.status_code == 200
    body = response.json()
    assert (body["type"], body["role"], body["model"], body["provider"]) == (
        "message",
        "assistant",
        "acme/one",
        "Primary",
    )
    assert body["content"] == [{"type": "text", "text": ANSWER, "citations": None}]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    usage = body["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (40, 60, 4)
    assert usage["cost"] == pytest.approx(40 * 1e-6 + 60 * 1e-7 + 4 * 2e-6, abs=1e-12)
    assert body["id"] == response.headers["X-Generation-Id"]
    found = api.get("/generation", params={"id": body["id"]}).json()["data"]
    assert (found["total_cost"], found["api_type"]) == (usage["cost"], "completions")


def test_a_stream_has_anthropics_events_and_is_charged(say: Say, api: httpx.Client, script: Upstream) -> None:
    response = say(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response)
    assert [one["type"] for one in told] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start = told[0]["message"]
    assert (start["id"], start["content"], start["model"]) == (response.headers["X-Generation-Id"], [], "acme/one")
    assert collected(told)[0]["text"] == ANSWER.replace(" ", "")
    last = told[-2]
    assert last["delta"]["stop_reason"] == "end_turn"
    assert (last["usage"]["input_tokens"], last["usage"]["output_tokens"]) == (10, 4)
    found = api.get("/generation", params={"id": start["id"]}).json()["data"]
    assert found["total_cost"] == last["usage"]["cost"] > 0
    assert "[DONE]" not in response.text


def test_what_is_said_goes_upstream_as_chat(say: Say, script: Upstream) -> None:
    blocks = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "source": PNG},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]
    history = [
        {"role": "user", "content": blocks},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "rain"}]},
                {"type": "text", "text": "And?"},
            ],
        },
        {"role": "assistant", "content": "It is"},
    ]
    response = say(
        history,
        system=[{"type": "text", "text": "Be brief."}],
        stop_sequences=["END"],
        temperature=0.5,
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert response.status_code == 200
    body = sent(script)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                {"id": "toolu_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "rain"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "It is"},
    ]
    assert (body["stop"], body["temperature"], body["max_tokens"]) == (["END"], 0.5, 100)
    function = {"name": "weather", "description": "of a city", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tool_choices(say: Say, script: Upstream, choice: dict[str, Any], expected: Any) -> None:
    say(tools=[TOOL], tool_choice=choice)
    assert sent(script)["tool_choice"] == expected


def test_a_schema_for_the_answer(say: Say, script: Upstream) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    say(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert sent(script)["response_format"]["json_schema"]["schema"] == schema


def test_without_max_tokens_the_endpoints_limit_holds(say: Say, script: Upstream) -> None:
    assert say(max_tokens=None).status_code == 200
    assert sent(script)["max_tokens"] == 1024


def calling(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    named = {"id": f"call_{index}", "type": "function"} if name else {}
    return {"index": index, **named, "function": {"arguments": arguments, **({"name": name} if name else {})}}


def test_tool_calls_are_blocks(say: Say, script: Upstream) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    reply = text_reply(finish="tool_calls")
    reply["reply"]["choices"][0]["message"] = {"role": "assistant", "content": "Looking.", "tool_calls": [call]}
    script.script("one-primary", [reply])
    body = say(tools=[TOOL]).json()
    assert body["stop_reason"] == "tool_use"
    assert body["content"][1] == {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}}


def test_interleaved_parallel_calls_come_out_one_after_another(say: Say, script: Upstream) -> None:
    steps = [
        chunk({"content": "Looking."}),
        chunk({"tool_calls": [calling(0, "", "weather")]}),
        chunk({"tool_calls": [calling(1, '{"city":', "weather")]}),
        chunk({"tool_calls": [calling(0, '{"city":"Ro')]}),
        chunk({"tool_calls": [calling(1, '"Oslo"}')]}),
        chunk({"tool_calls": [calling(0, 'me"}')]}),
        chunk({"tool_calls": [calling(2, "", "noon")]}),
        chunk({}, "tool_calls"),
        {"done": True},
    ]
    script.script("one-primary", steps)
    told = events(say(tools=[TOOL], stream=True))
    text, *calls = collected(told)
    assert text["text"] == "Looking."
    assert [(one["id"], one["name"], one["json"]) for one in calls] == [
        ("call_0", "weather", '{"city":"Rome"}'),
        ("call_1", "weather", '{"city":"Oslo"}'),
        ("call_2", "noon", ""),
    ]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


SIGNED = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}
SEALED = {"type": "reasoning.encrypted", "data": "blob", "id": "rs_1", "format": "openai-responses-v1", "index": 1}


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_goes_there_and_back(say: Say, script: Upstream, stream: bool) -> None:
    steps: list[Step] = [
        chunk({"reasoning": "H", "reasoning_details": [{**SIGNED, "text": "H", "signature": None}]}),
        chunk({"reasoning": "m.", "reasoning_details": [{**SIGNED, "text": "m."}]}),
        chunk({"reasoning_details": [SEALED]}),
        chunk({"content": "42"}, "stop"),
        {"done": True},
    ]
    reply = text_reply("42")
    reply["reply"]["choices"][0]["message"] |= {"reasoning": "Hm.", "reasoning_details": [SIGNED, SEALED]}
    script.script("one-primary", steps if stream else [reply])
    response = say(stream=stream, thinking={"type": "enabled", "budget_tokens": 50})
    content = collected(events(response)) if stream else response.json()["content"]
    thinking, sealed, text = content
    assert (thinking["type"], thinking["thinking"], thinking["signature"]) == ("thinking", "Hm.", "sig")
    assert sealed["type"] == "redacted_thinking"
    assert text["text"] == "42"
    said = [{name: value for name, value in block.items() if name != "json"} for block in content]
    script.script("one-primary", [text_reply()])
    parsed = told_upstream([*USER, {"role": "assistant", "content": said}, *USER])
    assert parsed["reasoning_details"] == [SIGNED, SEALED]


def told_upstream(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's turn as the canonical request has it."""
    from gateway.skins.messages import Messages

    request = Messages().parse(json.dumps({"model": "acme/one", "messages": messages}).encode())
    found: list[dict[str, Any]] = json.loads(bytes(request.fields["messages"]))
    return found[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        ({"messages": [{"role": "user", "content": [{"type": "film"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]},
            "messages[0].content[0].name",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"system": 5}, "system"),
        ({"models": ["acme/one"], "fallbacks": [{"model": "acme/other"}]}, "fallbacks"),
    ],
)
def test_a_bad_field_is_named_in_anthropics_envelope(say: Say, fields: dict[str, Any], said: str) -> None:
    response = say(**fields) if "messages" not in fields else say(fields["messages"])
    assert response.status_code == 400
    body = response.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert said in body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "expected", "kind", "error_type"),
    [
        (500, 502, "api_error", "provider_unavailable"),
        (429, 429, "rate_limit_error", "rate_limit_exceeded"),
        (503, 503, "overloaded_error", "provider_overloaded"),
        (504, 524, "timeout_error", "timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_provider(
    say: Say, script: Upstream, status: int, expected: int, kind: str, error_type: str, stream: bool
) -> None:
    script.script("one-primary", failure(status, "it broke"))
    response = say(stream=stream)
    assert response.status_code == expected
    body = response.json()
    assert (body["error"]["type"], body["error"]["error_type"]) == (kind, error_type)
    assert body["error"]["message"] == "it broke"
    assert body["request_id"] == response.headers["X-Generation-Id"]


def test_an_error_in_the_middle_is_an_error_event(say: Say, script: Upstream) -> None:
    script.script(
        "one-primary", [*text_stream()[:2], {"sleep": 0.2}, {"chunk": {"error": {"message": "it fell over"}}}]
    )
    response = say(stream=True)
    last = events(response)[-1]
    assert (last["type"], last["error"]["message"]) == ("error", "it fell over")
    assert last["request_id"] == response.headers["X-Generation-Id"]


def test_other_refusals_are_in_the_envelope_too(shared: Product, alice: str, say: Say) -> None:
    def kind(response: httpx.Response) -> tuple[int, str]:
        assert response.json()["type"] == "error"
        return response.status_code, response.json()["error"]["type"]

    url = f"{shared.url}/api/v1/messages"
    poor = shared.issue_key("poor@example.com", None)
    body = {"model": "acme/one", "max_tokens": 9, "messages": USER}
    assert kind(httpx.post(url, json=body)) == (401, "authentication_error")
    assert kind(httpx.post(url, json=body, headers={"x-api-key": poor})) == (402, "billing_error")
    assert kind(httpx.get(url)) == (405, "invalid_request_error")
    assert kind(say(provider={"only": ["nobody"]})) == (404, "not_found_error")
    large = httpx.post(url, content=b" " * (32 * 2**20 + 1), headers={"x-api-key": alice})
    assert kind(large) == (413, "request_too_large")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["count_tokens", "batches", "batches/msgbatch_1/results", ""])
def test_what_is_not_served_below_it_is_404_in_the_envelope(say: Say, shared: Product, method: str, path: str) -> None:
    response = httpx.request(method, f"{shared.url}/api/v1/messages/{path}")
    error = response.json()["error"]
    assert (response.status_code, response.json()["type"], error["type"]) == (404, "error", "not_found_error")
    assert response.json()["request_id"] is None
    assert f"/api/v1/messages/{path}" in error["message"]
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_anthropics_client_reads_it(shared: Product, alice: str) -> None:
    with anthropic.Anthropic(base_url=f"{shared.url}/api", auth_token=alice, max_retries=0) as client:
        with pytest.raises(anthropic.NotFoundError) as caught:
            client.messages.count_tokens(model="acme/one", messages=[{"role": "user", "content": "Hi"}])
        assert "count_tokens" in str(caught.value)


def test_a_path_beside_it_has_the_common_envelope(api: httpx.Client) -> None:
    assert api.get("/messagesx").json()["error"]["code"] == 404
