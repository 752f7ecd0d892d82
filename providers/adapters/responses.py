"""The wire `responses`: OpenAI's Responses API as a provider speaks it, without state there
(https://platform.openai.com/docs/api-reference/responses)."""

from collections.abc import Iterable
from typing import Any

from providers.adapters import responses_answer
from providers.adapters.base import Adapter, Call, unsupported
from providers.adapters.openai import OpenAI
from providers.adapters.parts import (
    details_of,
    encode,
    forced,
    parts_of,
    refuse_other_answers,
    sampling,
    takes,
    text_of,
)
from providers.adapters.reasoning import REASONING, effort, is_off, nearest
from providers.adapters.responses_answer import FORMAT, ResponsesStream
from providers.canonical import NULL, ChatRequest, Completion, EmbeddingRequest, Embeddings, Message, Part, Request
from providers.snapshot import Endpoint

# What a client of the Responses API may have said that goes on as it came.
NATIVE = frozenset(
    {
        "include",
        "input",
        "instructions",
        "max_tool_calls",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
SAMPLING = {name: name for name in ("temperature", "top_p", "top_logprobs")}
Item = dict[str, Any]


class Responses(Adapter):
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        body: Item = {"model": endpoint.upstream_model, "store": False}
        if request.family == "responses":
            body |= {name: raw for name, raw in request.native.items() if name in NATIVE and raw != NULL}
        else:
            body |= translated(request.chat, endpoint, max_tokens)
        if max_tokens is not None:
            body["max_output_tokens"] = max(max_tokens, 16)
        if request.chat.stream:
            body["stream"] = True
        if endpoint.service_tier:
            body["service_tier"] = endpoint.service_tier
        return Call("/responses", encode(body), endpoint.provider.quirks.headers)

    def completion(self, body: bytes) -> Completion:
        return responses_answer.completion(body)

    def stream(self) -> ResponsesStream:
        return ResponsesStream()

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        return OpenAI().embedding(request, endpoint)

    def embeddings(self, body: bytes) -> Embeddings:
        return OpenAI().embeddings(body)


def translated(chat: ChatRequest, endpoint: Endpoint, max_tokens: int | None) -> Item:
    supported = endpoint.supported_parameters
    refuse_other_answers(chat)
    body: Item = {"input": [item for message in chat.messages for item in items_of(message)], "include": [ENCRYPTED]}
    if chat.logprobs and takes(supported, "logprobs"):
        body["include"].append(LOGPROBS)
    body |= sampling(chat, supported, SAMPLING)
    if chat.tools and takes(supported, "tools"):
        body |= tools(chat)
    if text := text_form(chat):
        body["text"] = text
    asked = chat.thinking
    if asked is not None and takes(supported, *REASONING):
        wanted: Item = {} if asked.exclude or is_off(asked) else {"summary": asked.summary or "auto"}
        if is_off(asked):
            wanted["effort"] = EFFORTS[0]
        elif asked.effort or asked.max_tokens:
            wanted["effort"] = nearest(effort(asked, max_tokens), EFFORTS)
        body["reasoning"] = wanted
    if chat.user:
        body["user"] = chat.user
    if chat.prompt_cache_key:
        body["prompt_cache_key"] = chat.prompt_cache_key
    return body


def text_form(chat: ChatRequest) -> Item:
    found: Item = {}
    wanted = chat.response_format
    if wanted is not None and wanted.type == "json_object":
        found["format"] = {"type": "json_object"}
    elif wanted is not None and wanted.type == "json_schema" and wanted.json_schema is not None:
        shape = wanted.json_schema
        found["format"] = {"type": "json_schema", "name": shape.name, "schema": shape.schema or {}}
        if shape.strict is not None:
            found["format"]["strict"] = shape.strict
    if chat.verbosity:
        found["verbosity"] = chat.verbosity
    return found


def tools(chat: ChatRequest) -> Item:
    found = []
    for tool in chat.tools or []:
        if tool.function is None:
            continue
        one: Item = {"type": "function", "name": tool.function.name, "parameters": tool.function.parameters or {}}
        # Where nothing is said this API is strict, unlike chat completions.
        one["strict"] = bool(tool.function.strict)
        if tool.function.description:
            one["description"] = tool.function.description
        found.append(one)
    body: Item = {"tools": found}
    if name := forced(chat.tool_choice):
        body["tool_choice"] = {"type": "function", "name": name}
    elif isinstance(chat.tool_choice, str):
        body["tool_choice"] = chat.tool_choice
    if chat.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = chat.parallel_tool_calls
    return body


def items_of(message: Message) -> Iterable[Item]:
    if message.role in ("tool", "function"):
        called = message.tool_call_id or message.name or ""
        return [{"type": "function_call_output", "call_id": called, "output": text_of(message)}]
    if message.role != "assistant":
        return [{"type": "message", "role": message.role, "content": [part_of(part) for part in parts_of(message)]}]
    found = thoughts(message)
    if text := text_of(message):
        found.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
    for call in message.tool_calls or []:
        function = call.function
        item = {"type": "function_call", "call_id": call.id, "name": function.name, "arguments": function.arguments}
        found.append(item)
    return found


def thoughts(message: Message) -> list[Item]:
    """Each item's summary and sealed content share its id."""
    found: dict[object, Item] = {}
    for detail in details_of(message, FORMAT):
        item = found.setdefault(detail.id, {"type": "reasoning", "summary": []})
        if detail.id:
            item["id"] = detail.id
        if detail.type == "reasoning.summary" and detail.summary:
            item["summary"].append({"type": "summary_text", "text": detail.summary})
        elif detail.type == "reasoning.encrypted" and detail.data:
            item["encrypted_content"] = detail.data
    return [item for item in found.values() if "encrypted_content" in item]


def part_of(part: Part) -> Item:
    if part.type == "text":
        return {"type": "input_text", "text": part.text}
    if part.type == "image_url" and part.image_url:
        return {"type": "input_image", "image_url": part.image_url.url, "detail": part.image_url.detail or "auto"}
    if part.type == "file" and part.file and part.file.file_data:
        if part.file.file_data.startswith("data:"):
            name = part.file.filename or "file"
            return {"type": "input_file", "filename": name, "file_data": part.file.file_data}
        return {"type": "input_file", "file_url": part.file.file_data}
    if part.type == "input_audio" and part.input_audio:
        return {"type": "input_audio", "input_audio": part.input_audio}
    raise unsupported(f"this provider takes no part of the type {part.type}")
