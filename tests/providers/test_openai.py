"""The wire `openai`: recorded answers of several vendors, read as canonical ones."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from msgspec import UNSET

from gateway import parse
from providers.adapters import WIRES
from providers.canonical import Completion, Content, Event, Failure, Usage
from providers.errors import Kind, UpstreamError
from providers.pricing import Price
from providers.snapshot import Endpoint
from providers.sse import EventParser
from tests.endpoints import provider
from tests.providers.told import Told

PAYLOADS = Path(__file__).parent / "payloads" / "openai"
ADAPTER = WIRES["openai"]
CHAT = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
ROME = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
OSLO = {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def payload(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


# Whole answers


def completion(name: str) -> Completion:
    return ADAPTER.completion(payload(name))


@pytest.mark.parametrize(
    ("name", "content", "reasoning", "finish", "usage"),
    [
        ("openai.json", "Rome.", None, "stop", Usage(1200, 90, cached=1024, reasoning=64)),
        ("openai_tool_calls.json", None, None, "tool_calls", Usage(80, 44)),
        ("openai_refusal.json", None, None, "stop", Usage(20, 8)),
        ("groq.json", "Rome.", None, "stop", Usage(40, 3)),
        ("deepseek_reasoning.json", "Rome.", "Italy's capital is Rome.", "stop", Usage(100, 20, 64, 0, 15)),
        ("llamacpp.json", "Rome", None, "length", Usage(31, 1)),
        ("vllm.json", "Rome.", None, "stop", Usage(25, 3)),
        ("two_choices.json", "one", None, "stop", Usage(5, 2)),
        ("without_usage.json", "Rome.", None, "stop", None),
        # More cached than prompt, less than nothing said: parts are cut to their whole.
        ("odd_usage.json", "x", None, "stop", Usage(10, 0, cached=10)),
    ],
)
def test_a_whole_answer(
    name: str, content: str | None, reasoning: str | None, finish: str, usage: Usage | None
) -> None:
    found = completion(name)
    first = found.choices[0]
    assert (first.message.content, first.message.reasoning, first.finish_reason) == (content, reasoning, finish)
    assert found.usage == usage


def test_tool_calls_refusals_and_fingerprints_are_kept() -> None:
    calls = completion("openai_tool_calls.json").choices[0].message.tool_calls
    assert calls is not UNSET
    assert [msgspec.to_builtins(call) for call in calls] == [ROME, OSLO]
    assert completion("vllm.json").choices[0].message.tool_calls is UNSET
    assert completion("openai_refusal.json").choices[0].message.refusal == "I cannot help with that."
    assert completion("openai.json").system_fingerprint == "fp_a1b2c3"
    assert completion("groq.json").upstream_id == "chatcmpl-0f1e2d"


def test_every_choice_is_there() -> None:
    found = completion("two_choices.json").choices
    assert [(one.index, one.message.content, one.finish_reason) for one in found] == [
        (0, "one", "stop"),
        (1, "two", "length"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b"<html>",
        b'{"error": {"message": "no"}}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b'{"x": ' + b"[" * 100_000,
    ],
    ids=lambda body: str(body[:40]),
)
def test_what_is_no_answer_is_a_fault_of_the_provider(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        ADAPTER.completion(body)
    assert (caught.value.kind, caught.value.retryable) == (Kind.PROTOCOL, True)
    assert caught.value.raw == body[:2000].decode(errors="replace")


# Streams


def events(name: str) -> list[Event]:
    """As the network brings them: in pieces of any size."""
    wire, chance = payload(name), random.Random(name)
    parser, reader, found = EventParser(), ADAPTER.stream(), list[Event]()
    while wire:
        size = chance.randrange(1, 400)
        for data in parser.feed(wire[:size]):
            found += [] if data == b"[DONE]" else reader.feed(data)
        wire = wire[size:]
    return found


def heard(found: Iterable[Event]) -> Told:
    told = Told()
    for event in found:
        told.hear(event)
    return told


@pytest.mark.parametrize(
    ("name", "content", "reasoning", "finish", "usage"),
    [
        ("openai.sse", "Rome.", "", "stop", Usage(1200, 90, cached=1024, reasoning=64)),
        ("groq.sse", "Rome.", "Italy's capital.", "stop", Usage(40, 9, reasoning=5)),
        ("deepseek_reasoning.sse", "Rome.", "Italy's capital.", "stop", Usage(100, 20, 64, 0, 15)),
        ("llamacpp.sse", "Rome.", "", "length", Usage(31, 2)),
        ("vllm.sse", "Rome.", "", "stop", Usage(25, 3)),
        ("azure.sse", "Rome.", "", "content_filter", None),
        ("openai_tool_calls.sse", "", "", "tool_calls", Usage(80, 44)),
        # "stop" beside tool calls
        ("gemini_tool_calls.sse", "", "", "tool_calls", Usage(60, 30)),
        ("null_tool_calls.sse", "", "", "tool_calls", None),
    ],
)
def test_a_stream(name: str, content: str, reasoning: str, finish: str, usage: Usage | None) -> None:
    told = heard(events(name))
    assert (told.content, told.reasoning, told.finish, told.usage) == (content, reasoning, finish, usage)
    assert told.failure is None


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("openai_tool_calls.sse", {0: ROME, 1: OSLO}),
        ("gemini_tool_calls.sse", {0: ROME | {"id": "function-call-1"}, 1: OSLO | {"id": "function-call-2"}}),
        ("null_tool_calls.sse", {0: ROME}),
    ],
)
def test_streamed_tool_calls_come_together_by_index(name: str, calls: dict[int, dict[str, Any]]) -> None:
    assert heard(events(name)).calls == calls


def test_calls_with_neither_id_nor_index_are_told_apart_by_place() -> None:
    calls = [{"function": call["function"]} for call in (ROME, OSLO)]
    found = ADAPTER.stream().feed(msgspec.json.encode({"choices": [{"delta": {"tool_calls": calls}}]}))
    told = [call for event in found if isinstance(event, Content) for call in event.choices[0].delta.tool_calls or ()]
    assert msgspec.json.decode(msgspec.json.encode(told)) == [call | {"index": at} for at, call in enumerate(calls)]


def test_logprobs_and_the_native_reason_pass() -> None:
    contents = [event for event in events("vllm.sse") if isinstance(event, Content)]
    assert [msgspec.json.decode(event.choices[0].logprobs) is not None for event in contents] == [False, True, False]
    last = [event for event in events("gemini_tool_calls.sse") if isinstance(event, Content)][-1].choices[0]
    assert (last.finish_reason, last.native_finish_reason) == ("tool_calls", "stop")


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        (
            "error_openai.sse",
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
        ),
        ("error_groq.sse", "Failed to call a function. Please adjust your prompt.", "tool_use_failed"),
        ("error_llamacpp.sse", "Context size has been exceeded.", "500"),
        ("error_text.sse", "upstream worker died", None),
    ],
)
def test_an_error_in_the_middle_of_a_stream(name: str, message: str, code: str | None) -> None:
    told = heard(events(name))
    assert told.content == "Ro"
    assert told.failure is not None
    assert (told.failure.message, told.failure.code) == (message, code)
    assert message in told.failure.raw


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"choices": 5}',
        b'{"choices": [{"delta": 5}]}',
        b'{"choices": [{"delta": {"content": "\xff"}}]}',
        b'{"x": ' + b"[" * 100_000,
    ],
    ids=lambda data: str(data[:40]),
)
def test_what_is_no_chunk_is_a_fault_of_the_provider(data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        ADAPTER.stream().feed(data)
    assert caught.value.kind is Kind.PROTOCOL


@pytest.mark.parametrize("data", [b"{}", b'{"choices": []}', b'{"choices": null, "usage": null}', b'{"object": "x"}'])
def test_a_chunk_that_says_nothing_is_nothing(data: bytes) -> None:
    assert list(ADAPTER.stream().feed(data)) == []


# Errors


@pytest.mark.parametrize(
    ("name", "status", "kind", "message", "code"),
    [
        ("error_openai_key.json", 401, Kind.CREDENTIAL, "Incorrect API key", "invalid_api_key"),
        ("error_openai_rate_limit.json", 429, Kind.RATE_LIMITED, "Rate limit reached", "rate_limit_exceeded"),
        ("error_openai_context.json", 400, Kind.CONTEXT_LENGTH, "maximum context", "context_length_exceeded"),
        ("error_openai_model.json", 404, Kind.NOT_FOUND, "does not exist", "model_not_found"),
        ("error_openai_parameter.json", 400, Kind.INVALID_REQUEST, "Unsupported value", "unsupported_value"),
        ("error_openai_server.json", 500, Kind.UNAVAILABLE, "The server had an error", "server_error"),
        ("error_openai_server.json", 529, Kind.OVERLOADED, "The server had an error", "server_error"),
        ("error_azure_filter.json", 400, Kind.CONTENT_POLICY, "content management policy", "content_filter"),
        ("error_deepseek_balance.json", 402, Kind.CREDENTIAL, "Insufficient Balance", "invalid_request_error"),
        ("error_vllm_context.json", 400, Kind.CONTEXT_LENGTH, "maximum context length is 4096", "400"),
        ("error_llamacpp_loading.json", 503, Kind.OVERLOADED, "Loading model", "503"),
        ("error_google_quota.json", 429, Kind.RATE_LIMITED, "exceeded your current quota", "RESOURCE_EXHAUSTED"),
        ("error_fastapi.json", 422, Kind.INVALID_REQUEST, "body.messages: Field required", None),
        ("error_text.json", 503, Kind.OVERLOADED, "model is overloaded", None),
        ("error_html.json", 502, Kind.UNAVAILABLE, "status 502", None),
        ("error_html.json", 504, Kind.TIMEOUT, "status 504", None),
        ("error_html.json", 403, Kind.CREDENTIAL, "status 403", None),
        ("error_html.json", 418, Kind.INVALID_REQUEST, "status 418", None),
    ],
)
def test_an_error_says_whose_fault_it_is(name: str, status: int, kind: Kind, message: str, code: str | None) -> None:
    found = ADAPTER.error(status, {}, payload(name))
    assert (found.kind, found.provider_code, found.status) == (kind, code, status)
    assert message in found.message
    assert found.raw == payload(name).decode()
    assert found.retryable == (kind not in (Kind.CONTEXT_LENGTH, Kind.CONTENT_POLICY, Kind.INVALID_REQUEST))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"error": null}',
        b'{"error": {"message": ["a"]}}',
        b"\xff\xfe",
        b'{"error": {"message": "\xff"}}',
        b'{"x": ' + b"[" * 100_000,
    ],
    ids=lambda body: str(body[:40]),
)
def test_an_error_without_words_has_its_status(body: bytes) -> None:
    found = ADAPTER.error(500, {}, body)
    assert (found.kind, found.message) == (Kind.UNAVAILABLE, "the provider answered with status 500")


@pytest.mark.parametrize(
    "message", ["API key not valid. Please pass a valid API key.", "Incorrect API key provided: x"]
)
def test_our_key_refused_with_a_400_is_not_the_clients_fault(message: str) -> None:
    found = ADAPTER.error(400, {}, msgspec.json.encode({"error": {"message": message, "code": 400}}))
    assert (found.kind, found.retryable) == (Kind.CREDENTIAL, True)


def test_usage_without_a_count_is_none() -> None:
    usage = b'"usage": {"prompt_tokens": null, "completion_tokens": null}'
    assert ADAPTER.completion(b'{"choices": [{"message": {"content": "x"}}], %s}' % usage).usage is None
    assert list(ADAPTER.stream().feed(b'{"choices": [], %s}' % usage)) == []


@pytest.mark.parametrize(
    "usage",
    [b'"many"', b'{"prompt_tokens": "many"}', b"[1]", b'{"completion_tokens": 1.5}'],
)
def test_usage_that_cannot_be_read_does_not_cost_the_answer(usage: bytes) -> None:
    whole = ADAPTER.completion(b'{"choices": [{"message": {"content": "x"}}], "usage": %s}' % usage)
    assert (whole.choices[0].message.content, whole.usage) == ("x", None)
    (told,) = ADAPTER.stream().feed(b'{"choices": [{"delta": {"content": "x"}}], "usage": %s}' % usage)
    assert isinstance(told, Content)
    assert told.choices[0].delta.content == "x"


def test_a_long_error_is_cut() -> None:
    assert len(ADAPTER.error(500, {}, b"x" * 10**6).raw) == 2000
    (told,) = ADAPTER.stream().feed(b'{"error": "no", "x": "%s"}' % (b"x" * 10**6))
    assert isinstance(told, Failure)
    assert len(told.raw) == 2000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20", 20),
        ("0.5", 0.5),
        ("-3", 0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("1e300", 86400),
    ],
)
def test_retry_after_in_seconds(value: str, expected: float | None) -> None:
    assert ADAPTER.error(429, {"retry-after": value}, b"").retry_after == expected


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    found = ADAPTER.error(503, {"retry-after": later}, b"").retry_after
    assert found == pytest.approx(30, abs=2)
    earlier = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    assert ADAPTER.error(503, {"retry-after": earlier}, b"").retry_after == 0


# Requests


def endpoint(*, parameters: str = "", **changes: Any) -> Endpoint:
    return Endpoint(
        id=uuid4(),
        tag="acme",
        model="acme/one",
        provider=provider("acme", **{"base_url": "http://127.0.0.1:9/v1", "secret": "sk-acme"} | changes),
        upstream_model="one",
        context_length=8192,
        max_prompt_tokens=None,
        max_completion_tokens=None,
        quantization="unknown",
        supported_parameters=frozenset(parameters.split()),
        first_token_timeout_s=None,
        price=Price(1, 0, 0),
    )


def sent(at: Endpoint, *, max_tokens: int | None = None, **fields: Any) -> dict[str, Any]:
    request = parse.chat(msgspec.json.encode(CHAT | fields))
    body: dict[str, Any] = msgspec.json.decode(ADAPTER.request(request, at, max_tokens=max_tokens).body)
    assert (body.pop("model"), body.pop("messages")) == ("one", CHAT["messages"])
    return body


def test_the_key_is_not_the_adapters_business() -> None:
    request = parse.chat(msgspec.json.encode(CHAT))
    call = ADAPTER.request(request, endpoint(), max_tokens=5)
    assert (call.path, call.headers) == ("/chat/completions", {})
    assert b"sk-acme" not in call.body


def test_parameters_go_where_they_are_supported() -> None:
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_k": 3,
        "seed": 7,
        "stop": ["x"],
        "tools": [],
        "parallel_tool_calls": True,
    }
    assert sent(endpoint(parameters="top_k tools"), **fields) == {
        "top_k": 3,
        "stop": ["x"],
        "tools": [],
        "parallel_tool_calls": True,
    }
    # Of an endpoint about which nothing is known OpenAI's own are expected.
    assert sent(endpoint(), **fields) == {name: value for name, value in fields.items() if name != "top_k"}


@pytest.mark.parametrize("passthrough", [False, True])
def test_fields_that_nobody_knows_go_to_self_hosted_servers_only(passthrough: bool) -> None:
    ours: dict[str, Any] = {
        "provider": {"order": ["acme"]},
        "models": ["acme/two"],
        "session_id": "s",
        "transforms": [],
        "usage": {},
    }
    fields: dict[str, Any] = {"mirostat": 2, "chat_template_kwargs": {"thinking": False}}
    assert sent(endpoint(passthrough=passthrough), **ours, **fields) == (fields if passthrough else {})


def test_null_is_not_sent() -> None:
    assert sent(endpoint(passthrough=True), temperature=None, stop=None, mirostat=None) == {}


def test_numbers_and_texts_are_sent_as_they_came() -> None:
    messages = b'[{"role":"user","content":"\\u00e9 \\ud83d\\ude00"}]'
    request = parse.chat(b'{"model":"m","temperature":1.10,"messages":%s}' % messages)
    sent_body = ADAPTER.request(request, endpoint(), max_tokens=None).body
    assert b'"temperature":1.10' in sent_body
    assert messages in sent_body


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_limit_has_the_vendors_name(field: str) -> None:
    at = endpoint(quirks={"max_tokens_field": field})
    assert sent(at, max_tokens=50) == {field: 50}


@pytest.mark.parametrize("asks", [True, False])
def test_usage_is_asked_for_in_a_stream_where_that_is_understood(asks: bool) -> None:
    at = endpoint(quirks={} if asks else {"stream_usage": False})
    expected: dict[str, Any] = {"stream_options": {"include_usage": True}} if asks else {}
    assert sent(at, stream=True, stream_options={"include_usage": False}) == {"stream": True} | expected
    assert sent(at, stream=False) == {}


@pytest.mark.parametrize(
    ("name", "status", "message", "code"),
    [
        ("error_cloudflare.json", 503, "Upstream service unavailable", "7009"),
        ("error_detail.json", 503, "Model is not ready", None),
    ],
)
def test_errors_in_other_envelopes_keep_their_message(name: str, status: int, message: str, code: str | None) -> None:
    found = ADAPTER.error(status, {}, payload(name))
    assert (found.kind, found.message, found.provider_code) == (Kind.OVERLOADED, message, code)


def test_an_error_without_a_member_around_it_ends_a_stream() -> None:
    told = heard(events("error_bare.sse"))
    assert told.content == "Ro"
    assert told.failure == Failure("CUDA out of memory", "500", told.failure.raw if told.failure else "")
