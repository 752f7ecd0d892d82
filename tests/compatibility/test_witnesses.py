"""Vendors' own SDKs as witnesses: their parsers read the recorded payloads, their types take what we send."""

import json
from io import BytesIO
from typing import Any

import pytest
from anthropic import Anthropic
from anthropic.types import ContentBlockParam, MessageCreateParams
from botocore.eventstream import EventStream
from botocore.parsers import EventStreamJSONParser, create_parser
from botocore.session import get_session
from botocore.validate import ParamValidator
from google import genai
from google.genai import types
from openai import OpenAI
from pydantic import TypeAdapter

from providers.adapters import WIRES
from tests import endpoints
from tests.compatibility.vendors import Running
from tests.providers.told import payload

pytestmark = pytest.mark.thorough

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
THOUGHT = {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}
HIDDEN = {"type": "reasoning.encrypted", "data": "c2ln", "format": "anthropic-claude-v1", "index": 1}
SEALED = {"type": "reasoning.encrypted", "data": "c2ln", "id": "call_1", "format": "google-gemini-v1", "index": 0}
EVERYTHING: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [CALL],
            "reasoning_details": [THOUGHT, HIDDEN, SEALED],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Of a city", "parameters": SCHEMA},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        }
    ],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
    "reasoning": {"effort": "high"},
    "stop": ["END"],
    "temperature": 0.5,
    "top_p": 0.9,
    "user": "end-user",
}


def sent(wire: str, model: str) -> dict[str, Any]:
    at = endpoints.endpoint("acme", provider=endpoints.provider("acme", wire=wire), upstream_model=model)
    call = WIRES[wire].request(endpoints.request(**EVERYTHING), at, max_tokens=4000)
    found: dict[str, Any] = json.loads(call.body)
    return found


# Anthropic


def test_anthropics_sdk_reads_what_we_recorded(vendor: Running) -> None:
    client = Anthropic(base_url=f"{vendor.url}/anthropic", api_key="x", max_retries=0)
    asked: Any = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    whole = client.messages.create(model="reasoning", **asked)
    assert [block.type for block in whole.content] == ["thinking", "redacted_thinking", "text"]
    with client.messages.stream(model="reasoning", **asked) as stream:
        streamed = stream.get_final_message()
    members = {"type", "text", "thinking", "signature", "data"}
    expected = [one.model_dump(include=members) for one in whole.content]
    assert [one.model_dump(include=members) for one in streamed.content] == expected
    with client.messages.stream(model="tools", **asked) as stream:
        calls = stream.get_final_message().content
    assert [call.input for call in calls if call.type == "tool_use"] == [{"city": "Rome"}, {"city": "Oslo"}]


@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-sonnet-4-5"])
def test_anthropics_types_take_what_we_send(model: str) -> None:
    body = sent("anthropic", model)
    params: Any = TypeAdapter(MessageCreateParams).validate_python(body)
    assert set(params) == set(body)
    block = TypeAdapter(ContentBlockParam)
    for message in body["messages"]:
        for one in message["content"]:
            block.validate_python(one)
    types_sent = [one["type"] for message in body["messages"] for one in message["content"]]
    expected = ["text", "image", "document", "thinking", "redacted_thinking", "text", "tool_use", "tool_result"]
    assert types_sent == expected
    assert body["thinking"]["type"] == ("adaptive" if model == "claude-opus-4-8" else "enabled")


# Google


def test_googles_sdk_reads_what_we_recorded(vendor: Running) -> None:
    options = types.HttpOptions(base_url=f"{vendor.url}/gemini")
    client = genai.Client(api_key="x", http_options=options)
    whole = client.models.generate_content(model="plain", contents="Hi")
    assert whole.text == "Rome."
    pieces = list(client.models.generate_content_stream(model="plain", contents="Hi"))
    assert "".join(piece.text or "" for piece in pieces) == "Rome."
    called = client.models.generate_content(model="tools", contents="Hi").function_calls or []
    assert [call.args for call in called] == [{"city": "Rome"}, {"city": "Oslo"}]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro"])
def test_googles_types_take_what_we_send(model: str) -> None:
    body = sent("gemini", model)
    contents = [types.Content.model_validate(content) for content in body.pop("contents")]
    assert [content.role for content in contents] == ["user", "model", "user"]
    types.Content.model_validate(body.pop("systemInstruction"))
    for tool in body.pop("tools"):
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body.pop("toolConfig"))
    config = types.GenerationConfig.model_validate(body.pop("generationConfig"))
    assert body == {}
    thinking = config.thinking_config
    assert thinking is not None
    assert (thinking.thinking_budget is None) == (model == "gemini-3-pro")
    signed = [part.thought_signature for content in contents for part in content.parts or [] if part.function_call]
    assert signed == [b"sig"]


# Amazon


def converse(operation: str) -> Any:
    return get_session().get_service_model("bedrock-runtime").operation_model(operation)


def test_botocore_reads_what_we_recorded() -> None:
    answer = {"status_code": 200, "headers": {}, "body": payload("bedrock", "reasoning.json")}
    found = create_parser("rest-json").parse(answer, converse("Converse").output_shape)
    blocks = [next(iter(block)) for block in found["output"]["message"]["content"]]
    assert (blocks, found["stopReason"]) == (["reasoningContent", "reasoningContent", "text"], "end_turn")
    shape = converse("ConverseStream").output_shape.members["stream"]
    raw = BytesIO(payload("bedrock", "tools.frames"))
    raw.stream = lambda: iter([raw.getvalue()])  # type: ignore[attr-defined]
    events = list(EventStream(raw, shape, EventStreamJSONParser(), "ConverseStream"))
    pieces = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"] for event in events if "contentBlockDelta" in event
    ]
    assert "".join(pieces) == '{"city": "Rome"}{"city": "Oslo"}'
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 124


@pytest.mark.parametrize("model", ["anthropic.claude-opus-4-8-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"])
def test_botocores_model_takes_what_we_send(model: str) -> None:
    body = sent("bedrock", model)
    shape = converse("Converse").input_shape
    assert set(body) <= set(shape.members)
    report = ParamValidator().validate(body | {"modelId": model}, shape)
    assert report.generate_report() == ""


# OpenAI


def test_openais_sdk_reads_what_we_recorded(vendor: Running) -> None:
    client = OpenAI(base_url=f"{vendor.url}/responses", api_key="x", max_retries=0)
    assert client.responses.create(model="plain", input="Hi").output_text == "Rome."
    with client.responses.stream(model="tools", input="Hi") as stream:
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Rome", "Oslo"]
    vectors = client.embeddings.create(model="embeddings", input="Hi", encoding_format="float").data
    assert [vector.embedding for vector in vectors] == [[1, 0], [0.5, -0.25]]
