"""Every field of a chat request: what is read of it, what is refused and how that is said."""

import json
from typing import Any

import pytest

from gateway.errors import ApiError
from gateway.skins.chat import Chat
from providers.canonical import ChatRequest, Reasoning, Request

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OBJECT = {**CALL, "function": {"name": "f", "arguments": {}}}


def parsed(**fields: Any) -> Request:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return Chat().parse(json.dumps(body).encode())


def refusal(**fields: Any) -> str:
    with pytest.raises(ApiError) as caught:
        parsed(**fields)
    assert caught.value.status == 400
    return caught.value.message


def said(*parts: Any, role: str = "user", **more: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts), **more}]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"messages": said({"type": "text"})}, "messages[0].content[0].text"),
        ({"messages": said({"type": "image_url"})}, "messages[0].content[0].image_url"),
        ({"messages": said({"type": "image_url", "image_url": {}})}, "image_url"),
        ({"messages": said({"type": "image_url", "image_url": {"url": 5}})}, "url"),
        ({"messages": said({"type": "input_audio"})}, "messages[0].content[0].input_audio"),
        ({"messages": said({"type": "file", "file": {"file_data": 5}})}, "file_data"),
        ({"messages": said({"type": "text", "text": "x", "cache_control": "5m"})}, "cache_control"),
        ({"messages": said({"type": "text", "text": "x", "cache_control": {"type": "a", "ttl": "1d"}})}, "ttl"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "function"),
        ({"messages": [{"role": "assistant", "tool_calls": [OBJECT]}]}, "arguments"),
        ({"messages": [{"role": "assistant", "reasoning_details": [{"text": "x"}]}]}, "type"),
        ({"tools": "f"}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "name"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, "parameters"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "name"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": 0}}, "reasoning.max_tokens"),
        ({"reasoning_effort": 5}, "reasoning_effort"),
        ({"include_reasoning": "yes"}, "include_reasoning"),
        ({"verbosity": "loud"}, "verbosity"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"logit_bias": {"5": "x"}}, "logit_bias"),
        ({"logprobs": 5}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"n": 0}, "n"),
        ({"prediction": {"type": "content"}}, "content"),
        ({"modalities": ["smell"]}, "modalities"),
        ({"audio": {"format": 5}}, "audio.format"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a" * 65: "x"}}, "metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"user": 5}, "user"),
        ({"debug": {"echo_upstream_body": "yes"}}, "debug.echo_upstream_body"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"plugins": [{}]}, "plugins[0]"),
        ({"transforms": "middle-out"}, "transforms"),
        ({"cache_control": {}}, "cache_control"),
        ({"trace": []}, "trace"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], place: str) -> None:
    assert place in refusal(**fields)


NULLABLE = sorted(set(ChatRequest.__struct_fields__) - {"messages", "model"})


@pytest.mark.parametrize("name", NULLABLE)
def test_null_is_as_if_it_were_not_there(name: str) -> None:
    assert getattr(parsed(**{name: None}).chat, name) is None


def test_what_nobody_knows_is_kept_raw() -> None:
    assert bytes(parsed(made_up={"a": [1]}).fields["made_up"]) == b'{"a": [1]}'


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"reasoning": {"effort": "high"}}, Reasoning(effort="high")),
        ({"reasoning": {"max_tokens": 2000, "exclude": True}}, Reasoning(max_tokens=2000, exclude=True)),
        ({"reasoning_effort": "low"}, Reasoning(effort="low", exclude=False)),
        ({"include_reasoning": True}, Reasoning(enabled=True, exclude=False)),
        ({"include_reasoning": False}, Reasoning(exclude=True)),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, Reasoning(effort="low")),
    ],
)
def test_older_words_for_reasoning(fields: dict[str, Any], expected: Reasoning | None) -> None:
    assert parsed(**fields).chat.thinking == expected


def test_reasoning_details_and_prefill_are_read_as_they_are() -> None:
    details = [
        {"type": "reasoning.summary", "summary": "s", "format": None, "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "id": "rs_1", "format": "openai-responses-v1", "index": 1},
    ]
    turn = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_details": details}
    messages = [{"role": "user", "content": "Hi"}, turn, {"role": "assistant", "content": "Once upon"}]
    request = parsed(messages=messages)
    known = request.chat.messages[1].reasoning_details or []
    assert [(one.type, one.format, one.index) for one in known] == [
        ("reasoning.summary", None, 0),
        ("reasoning.encrypted", "openai-responses-v1", 1),
    ]
    assert json.loads(bytes(request.fields["messages"])) == messages
