"""One contract over all wires: the same stories, told in each vendor's words, read and asked for alike."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from providers.adapters import WIRES
from providers.adapters.base import Call
from providers.canonical import Details, EmbeddingRequest, Usage
from providers.errors import Kind, UpstreamError
from providers.snapshot import Endpoint
from tests import endpoints
from tests.providers.told import PAYLOADS, Told, of_stream, of_whole, payload

NAMES = sorted(WIRES)
SUFFIX = {"sse": "sse", "eventstream": "frames", "ndjson": "ndjson"}
PLAIN = Usage(1200, 90, cached=1024, reasoning=64)
REASONED = Usage(100, 20, reasoning=15)
WRITTEN = Usage(1200, 90, cached=1024, cache_write=100, details=Details(cache_write_1h=40))
# What a vendor does not count, or counts beyond the others.
COUNTS = {
    "anthropic": {"plain": WRITTEN},
    "bedrock": {"plain": WRITTEN, "reasoning": Usage(100, 20)},
    "cohere": {"plain": Usage(1200, 90, cached=1024), "reasoning": Usage(100, 20)},
    "cloudflare": {"plain": Usage(1200, 90, cached=1024), "reasoning": Usage(100, 20)},
}
USAGE = {"plain": PLAIN, "tools": Usage(80, 44), "reasoning": REASONED}
# Of reasoning that a vendor wants back: (type, format).
DETAILS = {
    "anthropic": [("reasoning.text", "anthropic-claude-v1"), ("reasoning.encrypted", "anthropic-claude-v1")],
    "bedrock": [("reasoning.text", "anthropic-claude-v1"), ("reasoning.encrypted", "anthropic-claude-v1")],
    "gemini": [("reasoning.text", "google-gemini-v1"), ("reasoning.encrypted", "google-gemini-v1")],
    "responses": [("reasoning.summary", "openai-responses-v1"), ("reasoning.encrypted", "openai-responses-v1")],
}
ROME, OSLO = {"city": "Rome"}, {"city": "Oslo"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
# OpenRouter's own: no vendor is to see them.
OURS: dict[str, Any] = {
    "models": ["acme/b"],
    "provider": {"order": ["acme"]},
    "route": "fallback",
    "transforms": ["middle-out"],
    "plugins": [],
    "session_id": "session-of-alice",
    "trace": {"trace_id": "trace-of-alice"},
    "metadata": {"who": "metadata-of-alice"},
    "usage": {"include": True},
    "include_reasoning": True,
    "debug": {"echo_upstream_body": True},
}


def stream_file(wire: str, story: str) -> bytes:
    return payload(wire, f"{story}.{SUFFIX[WIRES[wire].framing]}")


def whole(wire: str, story: str) -> Told:
    return of_whole(WIRES[wire].completion(payload(wire, f"{story}.json")))


def streamed(wire: str, story: str) -> Told:
    return of_stream(wire, [stream_file(wire, story)])


def tell(wire: str, story: str, *, is_stream: bool) -> Told:
    return streamed(wire, story) if is_stream else whole(wire, story)


both = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
each = pytest.mark.parametrize("wire", NAMES)


@each
@both
def test_plain(wire: str, is_stream: bool) -> None:
    told = tell(wire, "plain", is_stream=is_stream)
    assert (told.content, told.reasoning, told.calls, told.finish) == ("Rome.", "", {}, "stop")
    assert told.native
    assert told.usage == COUNTS.get(wire, {}).get("plain", PLAIN)


@each
@both
def test_parallel_tools(wire: str, is_stream: bool) -> None:
    told = tell(wire, "tools", is_stream=is_stream)
    calls = [call["function"] for _, call in sorted(told.calls.items())]
    assert [call["name"] for call in calls] == ["weather", "weather"]
    assert [msgspec.json.decode(call["arguments"]) for call in calls] == [ROME, OSLO]
    assert len({call["id"] for call in told.calls.values()}) == 2
    assert (told.finish, told.usage) == ("tool_calls", Usage(80, 44))


@each
@both
def test_reasoning(wire: str, is_stream: bool) -> None:
    told = tell(wire, "reasoning", is_stream=is_stream)
    assert (told.reasoning, told.content, told.finish) == ("Italy's capital is Rome.", "Rome.", "stop")
    assert [(detail["type"], detail["format"]) for detail in told.details] == DETAILS.get(wire, [])
    assert told.usage == COUNTS.get(wire, {}).get("reasoning", REASONED)
    assert [detail["index"] for detail in told.details] == list(range(len(told.details)))


@pytest.mark.parametrize("wire", [wire for wire in NAMES if wire in DETAILS])
@both
def test_reasoning_goes_back_as_it_came(wire: str, is_stream: bool) -> None:
    told = tell(wire, "reasoning", is_stream=is_stream)
    secrets = {str(detail[name]) for detail in told.details for name in ("signature", "data") if name in detail}
    assert secrets
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": told.content, "reasoning_details": told.details},
        {"role": "user", "content": "And of Norway?"},
    ]
    body = ask(wire, messages=messages).body.decode()
    assert [secret for secret in secrets if secret not in body] == []
    stranger = [detail | {"format": "unknown"} for detail in told.details]
    messages[1]["reasoning_details"] = stranger
    body = ask(wire, messages=messages).body.decode()
    assert [secret for secret in secrets if secret in body] == []


ENDS = {"length": "length", "filtered": "content_filter"}


@pytest.mark.parametrize(
    ("wire", "story"),
    [(wire, story) for wire in NAMES for story in ENDS if (PAYLOADS / wire / f"{story}.json").exists()],
)
def test_other_ends(wire: str, story: str) -> None:
    assert whole(wire, story).finish == ENDS[story]


@each
def test_a_failing_stream(wire: str) -> None:
    told = streamed(wire, "failing")
    assert told.content == "Ro"
    assert told.failure is not None
    assert (told.failure.kind, "verloaded" in told.failure.message) == (Kind.OVERLOADED, True)
    assert told.finish is None


@each
@pytest.mark.parametrize("story", ["plain", "tools", "reasoning", "failing"])
def test_any_split_of_a_stream_reads_the_same(wire: str, story: str) -> None:
    data = stream_file(wire, story)
    expected = shown(of_stream(wire, [data]))
    for place in range(1, len(data), 7):
        assert shown(of_stream(wire, [data[:place], data[place:]])) == expected
    assert shown(of_stream(wire, (data[place : place + 1] for place in range(len(data))))) == expected
    chance = random.Random(story)
    for _ in range(20):
        assert shown(of_stream(wire, pieces(data, chance))) == expected


def pieces(data: bytes, chance: random.Random) -> Iterable[bytes]:
    while data:
        size = chance.randrange(1, 200)
        yield data[:size]
        data = data[size:]


def shown(told: Told) -> dict[str, Any]:
    """Ids that we make up differ."""
    found = dict(vars(told))
    found["calls"] = {index: call["function"] for index, call in told.calls.items()}
    found["details"] = [{name: detail[name] for name in detail if name != "id"} for detail in told.details]
    return found


STATUS = {
    Kind.CREDENTIAL: 401,
    Kind.RATE_LIMITED: 429,
    Kind.CONTEXT_LENGTH: 400,
    Kind.NOT_FOUND: 404,
    Kind.INVALID_REQUEST: 400,
    Kind.UNAVAILABLE: 500,
    Kind.OVERLOADED: 503,
    Kind.TIMEOUT: 504,
}


@each
@pytest.mark.parametrize("kind", list(STATUS))
def test_every_class_of_error(wire: str, kind: Kind) -> None:
    body = payload(wire, f"error_{kind}.json")
    found = WIRES[wire].error(STATUS[kind], {}, body)
    assert found.kind is kind
    assert found.message in body.decode()
    assert len(found.message) > 5
    assert found.raw == body.decode()


@each
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"{}", b"[]", b"<html>", b'{"x": "\xff"}', b'{"x": ' + b"[" * 100_000],
    ids=lambda body: str(body[:10]),
)
def test_what_is_no_answer_is_a_fault_of_the_provider(wire: str, body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        WIRES[wire].completion(body)
    assert (caught.value.kind, caught.value.retryable) == (Kind.PROTOCOL, True)
    found = WIRES[wire].error(500, {}, body)
    assert (found.kind, found.message) == (Kind.UNAVAILABLE, "the provider answered with status 500")


@each
@pytest.mark.parametrize("data", [b"", b"null", b"5", b"<html>", b'{"x": ' + b"[" * 100_000])
def test_what_is_no_event_is_a_fault_of_the_provider(wire: str, data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        list(WIRES[wire].stream().feed(data))
    assert caught.value.kind is Kind.PROTOCOL


# Requests


def at(wire: str, **fields: Any) -> Endpoint:
    found = endpoints.provider("acme", wire=wire, base_url="http://127.0.0.1:9/v1", secret="sk-of-the-operator")
    return endpoints.endpoint("acme", provider=found, **{"upstream_model": "m-1"} | fields)


def ask(wire: str, max_tokens: int | None = 4000, **fields: Any) -> Call:
    return WIRES[wire].request(endpoints.request(**fields), at(wire), max_tokens=max_tokens)


@each
def test_what_is_ours_stays_here(wire: str) -> None:
    message = {"role": "assistant", "content": "x", "reasoning": "thoughts-of-acme", "annotations": [], "images": []}
    messages = [{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "Go on"}]
    call = ask(wire, **OURS, messages=messages)
    sent = call.path + str(call.headers) + call.body.decode()
    leaks = ["alice", "acme", "order", "middle-out", "echo_upstream", "annotations", "operator"]
    assert [leak for leak in leaks if leak in sent] == []


@each
def test_a_conversation_arrives_whole(wire: str) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "No emoji."}]},
        {"role": "user", "content": "Weather in Rome and Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [called("call_1", ROME), called("call_2", OSLO)]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Rome"},
        {"role": "tool", "tool_call_id": "call_2", "content": '{"sky": "snow in Oslo"}'},
        {"role": "user", "content": [{"type": "text", "text": "And the sea?"}]},
        {"role": "assistant", "content": "The sea is"},
    ]
    sent = ask(wire, messages=messages, tools=[WEATHER], tool_choice="auto").body.decode()
    places = [sent.find(text) for text in ("sunny in Rome", "snow in Oslo", "And the sea?", "The sea is")]
    assert places == sorted(places)
    assert -1 not in places
    for text in ("Be brief.", "No emoji.", "Weather in Rome and Oslo?", "Of a city"):
        assert sent.count(text) == 1
    # Both calls, and both of their results, by the same id.
    assert (sent.count("call_1"), sent.count("call_2")) == (2, 2)
    assert sent.count("weather") >= 3


def called(call_id: str, arguments: dict[str, str]) -> dict[str, Any]:
    function = {"name": "weather", "arguments": msgspec.json.encode(arguments).decode()}
    return {"id": call_id, "type": "function", "function": function}


@each
def test_images(wire: str) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    sent = ask(wire, messages=[{"role": "user", "content": parts}]).body.decode()
    assert sent.count(PIXEL) == 1
    assert sent.count("png") == 1
    assert sent.index("What is this?") < sent.index(PIXEL)


@each
def test_a_schema_is_told(wire: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    sent = ask(wire, response_format=wanted).body.decode()
    assert "additionalProperties" in sent
    assert "additionalProperties" not in ask(wire).body.decode()
    assert "json" in ask(wire, response_format={"type": "json_object"}).body.decode().lower()


@each
@pytest.mark.parametrize("choice", ["none", "required", {"type": "function", "function": {"name": "weather"}}], ids=str)
def test_tools_are_forced_and_forbidden(wire: str, choice: Any) -> None:
    auto = ask(wire, tools=[WEATHER], tool_choice="auto").body
    assert ask(wire, tools=[WEATHER], tool_choice=choice).body != auto


@each
def test_limits_and_stops(wire: str) -> None:
    sent = ask(wire, max_tokens=777, stop=["END", "STOP"]).body.decode()
    assert "777" in sent
    # Two have no such parameter.
    assert wire in ("responses", "cloudflare") or ("END" in sent and "STOP" in sent)


@each
def test_a_call_with_broken_arguments_can_be_repeated(wire: str) -> None:
    broken = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ro'}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [broken]},
        {"role": "tool", "tool_call_id": "call_1", "content": "what?"},
    ]
    assert b"Ro" in ask(wire, messages=messages, tools=[WEATHER]).body


@each
def test_embeddings(wire: str) -> None:
    request = EmbeddingRequest(input=["Rome", "Oslo"], model="acme/m", dimensions=2)
    if not (PAYLOADS / wire / "embeddings.json").exists():
        with pytest.raises(UpstreamError) as caught:
            WIRES[wire].embedding(request, at(wire))
        assert caught.value.kind is Kind.UNSUPPORTED
        return
    sent = WIRES[wire].embedding(request, at(wire)).body.decode()
    assert "Rome" in sent
    assert sent.index("Rome") < sent.index("Oslo")
    found = WIRES[wire].embeddings(payload(wire, "embeddings.json"))
    assert [msgspec.json.decode(vector) for vector in found.vectors] == [[0.5, -0.25], [1, 0]]
    with pytest.raises(UpstreamError):
        WIRES[wire].embeddings(b"{}")
