"""The wire `cloudflare`: Workers AI's own `/ai/run` (https://developers.cloudflare.com/api/resources/ai/methods/run/).

Newer models answer there in OpenAI's words, older ones in Cloudflare's; both are read.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from providers.adapters import events, openai_answer
from providers.adapters.base import Adapter, Call, Reader, new_call_id
from providers.adapters.errors import UNREADABLE, Detail, decoded, in_stream, of_detail, raw, said, unreadable
from providers.adapters.openai_answer import OpenAIStream
from providers.adapters.parts import (
    encode,
    is_instruction,
    openai_part,
    parts_of,
    refuse_other_answers,
    sampling,
    schema_of,
    takes,
    text_of,
    texts_of,
)
from providers.canonical import (
    NULL,
    ChatRequest,
    Choice,
    Completion,
    EmbeddingRequest,
    Embeddings,
    Event,
    Function,
    FunctionCall,
    Message,
    Request,
    ToolCall,
    UsageReport,
)
from providers.errors import Kind, UpstreamError
from providers.snapshot import Endpoint

SAMPLING = {
    name: name
    for name in (
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
    )
}
EMPTY = Raw(b"{}")
Member = dict[str, Any]


class WireFunction(Struct, frozen=True):
    name: str = ""
    arguments: Raw = EMPTY


class WireCall(Struct, frozen=True):
    """With a function as OpenAI's, or without."""

    function: WireFunction | None = None
    id: str | None = None
    name: str = ""
    arguments: Raw = EMPTY

    def canonical(self) -> ToolCall:
        found = self.function or WireFunction(self.name, self.arguments)
        arguments = bytes(found.arguments).decode()
        if arguments.startswith('"'):
            arguments = msgspec.json.decode(arguments, type=str)
        return ToolCall(self.id or new_call_id(), FunctionCall(found.name, arguments))


class Result(Struct, frozen=True):
    """Text, or the object that a schema asked for."""

    response: Raw = NULL
    reasoning: str | None = None
    tool_calls: list[WireCall] | None = None
    usage: Raw = NULL
    choices: Raw = NULL


class WireAnswer(Struct, frozen=True):
    result: Raw
    success: bool = True
    errors: list[Detail] = []


class Vectors(Struct, frozen=True):
    data: list[Raw]


class WireEmbeddings(Struct, frozen=True):
    result: Vectors


decode_answer = msgspec.json.Decoder(WireAnswer).decode
decode_result = msgspec.json.Decoder(Result).decode
decode_embeddings = msgspec.json.Decoder(WireEmbeddings).decode


class Cloudflare(Adapter):
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        chat = request.chat
        refuse_other_answers(chat)
        supported = endpoint.supported_parameters
        body: Member = {"messages": [message_of(one) for one in chat.messages]}
        if chat.stream:
            body["stream"] = True
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        body |= sampling(chat, supported, SAMPLING)
        if chat.tools and chat.tool_choice != "none" and takes(supported, "tools"):
            body |= tools(chat)
        wanted = chat.response_format
        if wanted is not None and wanted.type in ("json_object", "json_schema"):
            schema = schema_of(chat)
            body["response_format"] = {"type": wanted.type} | ({"json_schema": schema} if schema else {})
        return Call(f"/run/{endpoint.upstream_model}", encode(body))

    def completion(self, body: bytes) -> Completion:
        try:
            found = decode_answer(body)
            if not found.success:
                told = of_detail(found.errors[0]) if found.errors else None
                message = told.message if told else "the provider reported an error"
                raise UpstreamError(Kind.UNAVAILABLE, message, raw=raw(body), provider_code=told.code if told else None)
            result = decode_result(found.result)
            if result.choices != NULL:
                return openai_answer.completion(bytes(found.result))
            if result.response == NULL and not result.tool_calls:
                raise unreadable("no response", body)
            return read(result)
        except UNREADABLE as error:
            raise unreadable(error, body) from None

    def stream(self) -> "CloudflareStream":
        return CloudflareStream()

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        return Call(f"/run/{endpoint.upstream_model}", encode({"text": texts_of(request)}))

    def embeddings(self, body: bytes) -> Embeddings:
        return Embeddings(decoded(decode_embeddings, body).result.data, None)


def tools(chat: ChatRequest) -> Member:
    found = [{"type": "function", "function": declared(tool.function)} for tool in chat.tools or [] if tool.function]
    choice = chat.tool_choice
    return {"tools": found} | ({"tool_choice": choice} if choice not in (None, "auto") else {})


def declared(function: Function) -> Member:
    """Without null."""
    return {name: value for name, value in structs.asdict(function).items() if value is not None}


def message_of(message: Message) -> Member:
    if is_instruction(message):
        return {"role": "system", "content": text_of(message)}
    if message.role in ("tool", "function"):
        called = message.tool_call_id or message.name or ""
        return {"role": "tool", "tool_call_id": called, "content": text_of(message)}
    parts = list(parts_of(message))
    if message.role == "user" and any(part.type != "text" for part in parts):
        return {"role": "user", "content": [openai_part(part) for part in parts]}
    found: Member = {"role": message.role, "content": text_of(message)}
    return found | ({"tool_calls": message.tool_calls} if message.tool_calls else {})


def text_in(response: Raw) -> str:
    text = bytes(response).decode()
    if text == "null":
        return ""
    return msgspec.json.decode(text, type=str) if text.startswith('"') else text


def read(result: Result) -> Completion:
    calls = [call.canonical() for call in result.tool_calls or []]
    text = text_in(result.response)
    message = events.answer([text] if text else [], [result.reasoning or ""], [], calls)
    choice = Choice(0, "tool_calls" if calls else "stop", "tool_calls" if calls else "stop", message)
    return Completion([choice], openai_answer.count(result.usage))


class CloudflareStream(Reader):
    """Its own words have no finish reason: the end is the end."""

    def __init__(self) -> None:
        self._openai = OpenAIStream()
        self._is_openai = False
        self._calls = -1
        self._has_begun = False

    def feed(self, payload: bytes) -> Iterable[Event]:
        result = decoded(decode_result, payload)
        if result.choices != NULL or self._is_openai:
            self._is_openai = True
            return self._openai.feed(payload)
        told = said(payload)
        if told.message:
            return [in_stream(told.message, told.code, payload)]
        return self._read(result)

    def _read(self, result: Result) -> Iterable[Event]:
        found: list[Event] = []
        if result.reasoning:
            found.append(events.reasoning_text(result.reasoning))
        if text := text_in(result.response):
            found.append(events.text(text))
        for call in result.tool_calls or []:
            self._calls += 1
            one = call.canonical()
            found.append(events.call_begins(self._calls, one.id, one.function.name, one.function.arguments))
        self._has_begun = self._has_begun or bool(found)
        if (usage := openai_answer.count(result.usage)) is not None:
            found.append(UsageReport(usage))
        return found

    def done(self) -> Iterable[Event]:
        if self._is_openai or not self._has_begun:
            return []
        reason = "tool_calls" if self._calls >= 0 else "stop"
        return [events.finish(reason, reason)]
