"""Any body: every skin reads it or refuses it with a 400, and what it reads can be sent on by every wire."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ApiError
from gateway.routing.bounds import size
from gateway.skins.base import Skin
from gateway.skins.chat import Chat
from gateway.skins.completions import Completions
from gateway.skins.embeddings import Embeddings
from gateway.skins.messages import Messages
from gateway.skins.responses import Responses
from providers.adapters import WIRES
from providers.canonical import Request
from providers.errors import UpstreamError
from tests.endpoints import endpoint, provider

pytestmark = pytest.mark.thorough

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
COMMON: dict[str, Any] = {
    "model": "acme/one",
    "models": ["acme/other"],
    "provider": {"order": ["primary"], "allow_fallbacks": True},
    "stream": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "metadata": {"a": "b"},
    "user": "u",
    "session_id": "s",
}
BODIES: dict[str, tuple[Skin, dict[str, Any]]] = {
    "chat": (
        Chat(),
        COMMON
        | {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "x"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:text/plain;base64,AA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [CALL],
                    "reasoning": "hm",
                    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "x"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
            "reasoning": {"effort": "high", "exclude": False},
            "stop": ["a"],
            "logit_bias": {"1": 5},
            "prediction": {"type": "content", "content": "x"},
            "modalities": ["text"],
        },
    ),
    "messages": (
        Messages(),
        COMMON
        | {
            "models": None,
            "max_tokens": 100,
            "metadata": {"user_id": "u"},
            "system": [{"type": "text", "text": "x"}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                        {"type": "document", "source": {"type": "text", "data": "x"}, "title": "t"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "turnpike.e30="},
                        {"type": "redacted_thinking", "data": "x"},
                        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "x"}]},
            ],
            "tools": [{"name": "f", "input_schema": SCHEMA}],
            "tool_choice": {"type": "tool", "name": "f"},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        },
    ),
    "responses": (
        Responses(),
        COMMON
        | {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
                {"type": "reasoning", "id": "rs", "summary": [{"text": "x"}], "encrypted_content": "x"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "x"},
            ],
            "instructions": "x",
            "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
            "tool_choice": {"type": "function", "name": "f"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}, "verbosity": "low"},
            "max_output_tokens": 10,
            "include": ["reasoning.encrypted_content"],
        },
    ),
    "completions": (Completions(), COMMON | {"prompt": "x", "logprobs": 1, "max_tokens": 5, "stop": "a"}),
    "embeddings": (Embeddings(), COMMON | {"input": ["x", "y"], "dimensions": 2, "encoding_format": "float"}),
}

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, one in inner for place in [(*at, name), *places(one, (*at, name))]]


def changed(body: dict[str, Any], place: tuple[Any, ...], value: Any, is_removed: bool) -> dict[str, Any]:
    found = copy.deepcopy(body)
    target: Any = found
    for name in place[:-1]:
        target = target[name]
    if is_removed:
        del target[place[-1]]
    else:
        target[place[-1]] = value
    return found


ENDPOINTS = [endpoint(wire, provider=provider(wire, wire=wire), supported_parameters=frozenset()) for wire in WIRES]


def read(skin: Skin, body: bytes) -> Request | ApiError:
    try:
        return skin.parse(body)
    except ApiError as error:
        return error


def check(skin: Skin, body: bytes) -> None:
    request = read(skin, body)
    if isinstance(request, ApiError):
        assert request.status == 400
        assert request.message
        return
    assert size(request).prompt > 0
    for one in ENDPOINTS:
        adapter = WIRES[one.provider.wire]
        try:
            if request.embedding is not None:
                call = adapter.embedding(request.embedding, one)
            else:
                call = adapter.request(request, one, max_tokens=10)
        except UpstreamError:
            # It cannot be said in this wire's words, and another endpoint may take it.
            continue
        msgspec.json.decode(call.body)


@pytest.mark.parametrize("name", BODIES)
def test_the_body_itself_is_read(name: str) -> None:
    skin, body = BODIES[name]
    assert skin.parse(json.dumps(body).encode()).chat.candidates


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_body(name: str, data: st.DataObject) -> None:
    skin, body = BODIES[name]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(body)))
        body = changed(body, place, data.draw(values), data.draw(st.booleans()))
        if not body:
            break
    check(skin, json.dumps(body).encode())


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_broken_body(name: str, data: st.DataObject) -> None:
    skin, body = BODIES[name]
    whole = json.dumps(body).encode()
    place = data.draw(st.integers(0, len(whole)))
    check(skin, whole[:place] + data.draw(st.binary(max_size=4)) + whole[place + data.draw(st.integers(0, 4)) :])


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=50) | values.map(json.dumps).map(str.encode))
def test_any_body(name: str, body: bytes) -> None:
    check(BODIES[name][0], body)
