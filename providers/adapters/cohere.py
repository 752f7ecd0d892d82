"""The wire `cohere`: Cohere's chat and embed, version 2 (https://docs.cohere.com/reference/chat)."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from providers.adapters import events
from providers.adapters.base import Adapter, Call, Reader, finish_reason
from providers.adapters.errors import decoded, in_stream
from providers.adapters.parts import (
    EMPTY_SCHEMA,
    encode,
    forced,
    is_instruction,
    is_json,
    openai_part,
    parts_of,
    refuse_other_answers,
    sampling,
    schema_of,
    stops,
    takes,
    text_of,
    texts_of,
)
from providers.adapters.reasoning import REASONING, budget, is_off
from providers.canonical import (
    ChatRequest,
    Choice,
    Completion,
    Delta,
    EmbeddingRequest,
    Embeddings,
    Event,
    FinishReason,
    FunctionCall,
    Message,
    Request,
    ToolCall,
    Usage,
    UsageReport,
)
from providers.snapshot import Endpoint

SAMPLING = {
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
FINISH_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "ERROR_TOXIC": "content_filter",
    "TIMEOUT": "error",
}
Member = dict[str, Any]


class Tokens(Struct, frozen=True):
    # Numbers come as floats at times.
    input_tokens: float | None = None
    output_tokens: float | None = None


class WireUsage(Struct, frozen=True):
    tokens: Tokens | None = None
    billed_units: Tokens | None = None
    cached_tokens: float | None = None

    def canonical(self) -> Usage | None:
        found = self.tokens or self.billed_units
        if found is None or (found.input_tokens is None and found.output_tokens is None):
            return None
        prompt = max(int(found.input_tokens or 0), 0)
        cached = min(max(int(self.cached_tokens or 0), 0), prompt)
        return Usage(prompt, max(int(found.output_tokens or 0), 0), cached)


class Piece(Struct, frozen=True):
    type: str = ""
    text: str = ""
    thinking: str = ""


class WireFunction(Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class WireCall(Struct, frozen=True):
    id: str = ""
    function: WireFunction = WireFunction()


class WireMessage(Struct, frozen=True):
    content: list[Piece] | Piece | None = None
    tool_calls: list[WireCall] | WireCall | None = None
    tool_plan: str | None = None


class WireAnswer(Struct, frozen=True):
    message: WireMessage
    id: str | None = None
    finish_reason: str | None = None
    usage: WireUsage = WireUsage()


class WireDelta(Struct, frozen=True):
    message: WireMessage = WireMessage()
    finish_reason: str | None = None
    usage: WireUsage = WireUsage()
    error: str | None = None


class WireEvent(Struct, frozen=True):
    type: str
    id: str | None = None
    index: int = 0
    delta: WireDelta | None = None
    message: str | None = None


class Floats(Struct, frozen=True):
    float: list[Raw]


class Meta(Struct, frozen=True):
    billed_units: Tokens | None = None


class WireEmbeddings(Struct, frozen=True):
    embeddings: Floats
    id: str | None = None
    meta: Meta = Meta()


decode_answer = msgspec.json.Decoder(WireAnswer).decode
decode_event = msgspec.json.Decoder(WireEvent).decode
decode_embeddings = msgspec.json.Decoder(WireEmbeddings).decode


class Cohere(Adapter):
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        chat = request.chat
        refuse_other_answers(chat)
        supported = endpoint.supported_parameters
        body: Member = {"model": endpoint.upstream_model, "messages": [message_of(one) for one in chat.messages]}
        body["stream"] = bool(chat.stream)
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        body |= sampling(chat, supported, SAMPLING)
        if stop := stops(chat):
            body["stop_sequences"] = stop
        if is_json(chat):
            schema = schema_of(chat)
            body["response_format"] = {"type": "json_object"} | ({"json_schema": schema} if schema else {})
        if chat.tools and takes(supported, "tools"):
            body |= tools(chat)
        if chat.thinking and takes(supported, *REASONING):
            body["thinking"] = thinking(chat, max_tokens)
        return Call("/chat", encode(body))

    def completion(self, body: bytes) -> Completion:
        found = decoded(decode_answer, body)
        return read(found)

    def stream(self) -> "CohereStream":
        return CohereStream()

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        body: Member = {"model": endpoint.upstream_model, "texts": texts_of(request), "embedding_types": ["float"]}
        body["input_type"] = request.input_type or "search_document"
        if request.dimensions:
            body["output_dimension"] = request.dimensions
        return Call("/embed", encode(body))

    def embeddings(self, body: bytes) -> Embeddings:
        found = decoded(decode_embeddings, body)
        return Embeddings(found.embeddings.float, WireUsage(found.meta.billed_units).canonical(), found.id)


def thinking(chat: ChatRequest, max_tokens: int | None) -> Member:
    asked = chat.thinking
    if asked is None or is_off(asked):
        return {"type": "disabled"}
    has_size = asked.max_tokens or asked.effort
    return {"type": "enabled"} | ({"token_budget": budget(asked, max_tokens)} if has_size else {})


def tools(chat: ChatRequest) -> Member:
    only = forced(chat.tool_choice)
    functions = [tool.function for tool in chat.tools or [] if tool.function]
    # It cannot be told which one: it is shown no other.
    wanted = [one for one in functions if only in (None, one.name)]
    found = [
        {
            "type": "function",
            "function": {
                "name": one.name,
                **described(one.description),
                "parameters": one.parameters or EMPTY_SCHEMA,
            },
        }
        for one in wanted
    ]
    if not found:
        return {}
    if chat.tool_choice == "none":
        return {"tools": found, "tool_choice": "NONE"}
    is_required = only or chat.tool_choice == "required"
    return {"tools": found} | ({"tool_choice": "REQUIRED"} if is_required else {})


def described(text: str | None) -> Member:
    return {"description": text} if text else {}


def message_of(message: Message) -> Member:
    if is_instruction(message):
        return {"role": "system", "content": text_of(message)}
    if message.role in ("tool", "function"):
        return {"role": "tool", "tool_call_id": message.tool_call_id or message.name or "", "content": text_of(message)}
    if message.role == "user":
        return {"role": "user", "content": [openai_part(part) for part in parts_of(message)]}
    found: Member = {"role": "assistant"}
    if text := text_of(message):
        found["content"] = text
    if message.tool_calls:
        found["tool_calls"] = message.tool_calls
        if message.reasoning:
            found["tool_plan"] = message.reasoning
    return found


def several(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found] if found is not None else []


def read(found: WireAnswer) -> Completion:
    message = found.message
    texts = [piece.text for piece in several(message.content) if piece.type == "text"]
    thoughts = [piece.thinking for piece in several(message.content) if piece.type == "thinking"]
    calls = [
        ToolCall(call.id, FunctionCall(call.function.name, call.function.arguments or "{}"))
        for call in several(message.tool_calls)
    ]
    choice = Choice(
        index=0,
        finish_reason=finish_reason(FINISH_REASONS, found.finish_reason, bool(calls)),
        native_finish_reason=found.finish_reason,
        message=events.answer(texts, [message.tool_plan or "", *thoughts], [], calls),
    )
    return Completion([choice], found.usage.canonical(), found.id)


class CohereStream(Reader):
    def __init__(self) -> None:
        self._calls = -1
        self._has_arguments = False

    def feed(self, payload: bytes) -> Iterable[Event]:
        event = decoded(decode_event, payload)
        delta = event.delta or WireDelta()
        match event.type:
            case "content-start" | "content-delta":
                return self._says(several(delta.message.content))
            case "tool-plan-delta":
                return [events.reasoning_text(delta.message.tool_plan or "")]
            case "tool-call-start":
                return self._calls_on(several(delta.message.tool_calls))
            case "tool-call-delta":
                pieces = [call.function.arguments for call in several(delta.message.tool_calls)]
                self._has_arguments = self._has_arguments or any(pieces)
                return [events.call_goes_on(self._calls, piece) for piece in pieces if piece]
            case "tool-call-end" if not self._has_arguments:
                return [events.call_goes_on(self._calls, "{}")]
            case "message-start":
                return [events.delta(Delta(content=""), event.id)]
            case "message-end":
                return self._ends(delta, payload)
            case "error":
                return [in_stream(event.message or delta.error or "", "", payload)]
            case _:
                return []

    def _says(self, pieces: list[Piece]) -> Iterable[Event]:
        found: list[Event] = []
        for piece in pieces:
            if piece.thinking:
                found.append(events.reasoning_text(piece.thinking))
            elif piece.text:
                found.append(events.text(piece.text))
        return found

    def _calls_on(self, calls: list[WireCall]) -> Iterable[Event]:
        found = []
        for call in calls:
            self._calls += 1
            self._has_arguments = bool(call.function.arguments)
            found.append(events.call_begins(self._calls, call.id, call.function.name, call.function.arguments))
        return found

    def _ends(self, delta: WireDelta, payload: bytes) -> Iterable[Event]:
        if delta.error or delta.finish_reason in ("ERROR", "TIMEOUT"):
            return [in_stream(delta.error or "", delta.finish_reason or "", payload)]
        found: list[Event] = [
            events.finish(finish_reason(FINISH_REASONS, delta.finish_reason, self._calls >= 0), delta.finish_reason)
        ]
        if (usage := delta.usage.canonical()) is not None:
            found.append(UsageReport(usage))
        return found
