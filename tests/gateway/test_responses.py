"""POST /api/v1/responses, raw and through the official `openai` package."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from gateway.skins.responses import Responses
from tests.upstream import ANSWER, Upstream, chunk, failure, text_reply, text_stream

pytestmark = pytest.mark.thorough

Say = Callable[..., httpx.Response]
TOOL: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": None}
SUMMARY = {"type": "reasoning.summary", "summary": "Hm.", "id": "rs_1", "format": "openai-responses-v1", "index": 0}
SEALED = {"type": "reasoning.encrypted", "data": "blob", "id": "rs_1", "format": "openai-responses-v1", "index": 1}
# What OpenAI's own object must have (§2B.1)
REQUIRED = {
    *("id", "object", "created_at", "completed_at", "model", "status", "output", "error", "incomplete_details"),
    *("instructions", "metadata", "temperature", "top_p", "presence_penalty", "frequency_penalty", "tools"),
    *("tool_choice", "parallel_tool_calls"),
}


@pytest.fixture
def say(api: httpx.Client, script: Upstream) -> Say:
    def post(input: Any = "Hi", **fields: Any) -> httpx.Response:
        return api.post("/responses", json={"model": "acme/one", "input": input, **fields}, timeout=30)

    return post


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The payloads, which must be numbered without a gap; the stream must end with [DONE]."""
    *found, done = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    assert done == "[DONE]"
    told = [json.loads(one) for one in found]
    names = [line[7:] for line in response.text.split("\n") if line.startswith("event: ")]
    assert [one["type"] for one in told] == names
    assert [one["sequence_number"] for one in told] == list(range(len(told)))
    return told


def test_answers_a_response_with_usage_and_cost(say: Say, api: httpx.Client) -> None:
    response = say(instructions="Be brief.", metadata={"a": "b"}, max_output_tokens=50)
    assert response.status_code == 200
    body = response.json()
    assert body.keys() >= REQUIRED
    assert (body["object"], body["status"], body["model"]) == ("response", "completed", "acme/one")
    (message,) = body["output"]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")
    assert message["content"] == [{"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}]
    assert (body["instructions"], body["metadata"], body["max_output_tokens"]) == ("Be brief.", {"a": "b"}, 50)
    usage = body["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (10, 4, 14)
    found = api.get("/generation", params={"id": response.headers["X-Generation-Id"]}).json()["data"]
    assert found["total_cost"] == usage["cost"] == pytest.approx(0.000018, abs=1e-12)


def test_a_stream_tells_every_step(say: Say, api: httpx.Client) -> None:
    response = say(stream=True)
    told = events(response)
    assert [one["type"].removeprefix("response.") for one in told] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *["output_text.delta"] * 3,
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    text = "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta")
    last = told[-1]["response"]
    assert text == last["output"][0]["content"][0]["text"] == ANSWER.replace(" ", "")
    assert last.keys() >= REQUIRED
    assert last["id"] == told[0]["response"]["id"] == response.headers["X-Generation-Id"]
    found = api.get("/generation", params={"id": last["id"]}).json()["data"]
    assert found["total_cost"] == last["usage"]["cost"] > 0


def test_what_is_said_goes_upstream_as_chat(say: Say, script: Upstream) -> None:
    items = [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "data:x"}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Well."}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
    ]
    schema = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}
    choice = {"type": "function", "name": "weather"}
    say(items, instructions="Be brief.", tools=[TOOL], tool_choice=choice, text={"format": schema}, max_output_tokens=9)
    body = script.seen()[0]["body"]

    def call(id: str, arguments: str) -> dict[str, Any]:
        return {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}

    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:x"}}],
        },
        {"role": "assistant", "content": "Well.", "tool_calls": [call("c1", "{}"), call("c2", '{"a":1}')]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "rain"},
    ]
    assert body["tools"] == [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    json_schema = {"name": "s", "schema": {"type": "object"}, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": json_schema}
    assert body["max_tokens"] == 9


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_goes_there_and_back(say: Say, script: Upstream, stream: bool) -> None:
    steps = [
        chunk({"reasoning_details": [{**SUMMARY, "summary": "H"}]}),
        chunk({"reasoning_details": [{**SUMMARY, "summary": "m."}]}),
        chunk({"reasoning_details": [SEALED]}),
        chunk({"content": "42"}, "stop"),
        {"done": True},
    ]
    reply = text_reply("42")
    reply["reply"]["choices"][0]["message"] |= {"reasoning_details": [SUMMARY, SEALED]}
    script.script("one-primary", steps if stream else [reply])
    response = say(stream=stream)
    output = events(response)[-1]["response"]["output"] if stream else response.json()["output"]
    reasoning, message = output
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert (reasoning["id"], reasoning["encrypted_content"]) == ("rs_1", "blob")
    assert message["content"][0]["text"] == "42"
    request = Responses().parse(
        json.dumps({"model": "m", "input": [*output, {"role": "user", "content": "?"}]}).encode()
    )
    turn = json.loads(bytes(request.fields["messages"]))[0]
    assert (turn["reasoning_details"], turn["content"]) == ([SUMMARY, SEALED], "42")


def test_plain_reasoning_and_interleaved_calls_are_items(say: Say, script: Upstream) -> None:
    def call(index: int, arguments: str, **function: str) -> dict[str, Any]:
        opening = {"id": f"call_{index}", "type": "function"} if function else {}
        return {"index": index, **opening, "function": {"arguments": arguments, **function}}

    steps = [
        chunk({"reasoning_content": "hm"}),
        chunk({"tool_calls": [call(0, '{"a"', name="f")]}),
        chunk({"tool_calls": [call(1, "{}", name="g")]}),
        chunk({"tool_calls": [call(0, ":1}")]}),
        chunk({}, "tool_calls"),
        {"done": True},
    ]
    script.script("one-primary", steps)
    told = events(say(stream=True, tools=[TOOL]))
    reasoning, first, second = told[-1]["response"]["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert (first["call_id"], first["name"], first["arguments"]) == ("call_0", "f", '{"a":1}')
    assert (second["call_id"], second["name"], second["arguments"]) == ("call_1", "g", "{}")
    done = [one["arguments"] for one in told if one["type"] == "response.function_call_arguments.done"]
    assert done == ['{"a":1}', "{}"]


def test_a_cut_answer_is_incomplete(say: Say, script: Upstream) -> None:
    script.script("one-primary", [text_reply(finish="length")])
    body = say().json()
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "film"}]}, "input[0].type"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"model": None}, "model"),
    ],
)
def test_a_bad_field_is_named(say: Say, fields: dict[str, Any], said: str) -> None:
    response = say(**fields)
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]


def test_an_error_in_the_middle_is_a_failed_response(say: Say, script: Upstream) -> None:
    error = {"chunk": {"error": {"message": "it fell over"}}}
    script.script("one-primary", [*text_stream()[:2], {"sleep": 0.2}, error])
    last = events(say(stream=True))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "it fell over"}
    assert last["response"]["error_type"] == "provider_unavailable"


def test_the_sdk_plain(sdk: OpenAI) -> None:
    found = sdk.responses.create(model="acme/one", input="Hi")
    assert (found.output_text, found.status) == (ANSWER, "completed")
    assert found.usage is not None
    assert found.usage.total_tokens == 14


async def test_the_sdk_plain_async(async_sdk: AsyncOpenAI) -> None:
    assert (await async_sdk.responses.create(model="acme/one", input="Hi")).output_text == ANSWER


def test_the_sdk_streaming(sdk: OpenAI, script: Upstream) -> None:
    steps = [chunk({"reasoning_content": "hm"}), *text_stream()]
    script.script("one-primary", steps)
    with sdk.responses.stream(model="acme/one", input="Hi") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.output_text == text == ANSWER.replace(" ", "")
    assert [item.type for item in final.output] == ["reasoning", "message"]


async def test_the_sdk_streaming_async(async_sdk: AsyncOpenAI) -> None:
    async with async_sdk.responses.stream(model="acme/one", input="Hi") as stream:
        assert (await stream.get_final_response()).output_text == ANSWER.replace(" ", "")


def test_the_sdk_streams_tool_calls(sdk: OpenAI, script: Upstream) -> None:
    opening = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"city":', '"Rome"}')]
    steps = [chunk({"tool_calls": [call]}) for call in (opening, *pieces)]
    script.script("one-primary", [*steps, chunk({}, "tool_calls"), {"done": True}])
    with sdk.responses.stream(model="acme/one", input="Hi", tools=[TOOL]) as stream:
        (item,) = stream.get_final_response().output
    assert item.type == "function_call"
    assert (item.call_id, item.arguments) == ("call_a", '{"city":"Rome"}')


def test_the_sdk_raises_typed_errors(sdk: OpenAI, script: Upstream) -> None:
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="sk-wrong").responses.create(model="acme/one", input="Hi")
    script.script("one-primary", failure(429, "slow down"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        sdk.responses.create(model="acme/one", input="Hi")
