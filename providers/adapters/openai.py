"""The wire `openai`: OpenAI's Chat Completions, as most vendors and self-hosted servers speak it.

Quirks of a vendor are data on its provider row: `max_tokens_field` (default "max_tokens") and `stream_usage` (default
true: ask for the usage chunk).
"""

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct

from providers.adapters.base import Call
from providers.adapters.errors import RAW_BYTES, UNREADABLE, from_status
from providers.canonical import (
    Answer,
    Choice,
    ChunkChoice,
    Completion,
    Content,
    Event,
    Failure,
    FinishReason,
    FunctionCall,
    ReasoningDetail,
    Request,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.errors import Kind, UpstreamError
from providers.snapshot import Endpoint

# Sent to every endpoint; the other known parameters only where the endpoint lists them.
ALWAYS = frozenset({"messages", "stop", "n", "user"})
OPTIONAL = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "top_a",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "prediction",
        "modalities",
        "audio",
        "reasoning_effort",
        "verbosity",
    }
)
# What an endpoint takes of which nothing is known: OpenAI's own parameters.
STANDARD = OPTIONAL - {"top_k", "min_p", "top_a", "repetition_penalty", "reasoning_effort", "verbosity"}
# Ours, or set by us: they never go upstream, passthrough or not.
OURS = frozenset(
    {
        "model",
        "models",
        "provider",
        "route",
        "preset",
        "stream",
        "stream_options",
        "usage",
        "max_tokens",
        "max_completion_tokens",
        "plugins",
        "transforms",
        "include_reasoning",
        "reasoning",
        "session_id",
        "trace",
        "metadata",
        "debug",
        "image_config",
        "cache_control",
        "service_tier",
    }
)
# A parameter that the catalogue lists under another word.
LISTED_AS = {"parallel_tool_calls": "tools"}

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}
NULL = Raw(b"null")
encode = msgspec.json.Encoder().encode


class TokenDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


NO_DETAILS = TokenDetails()


class WireUsage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None

    def canonical(self) -> Usage | None:
        """None without a count. Parts are clamped to their whole: a vendor's slip must not make a negative amount."""
        if self.prompt_tokens is None and self.completion_tokens is None:
            return None
        prompt = max(self.prompt_tokens or 0, 0)
        completion = max(self.completion_tokens or 0, 0)
        details = self.prompt_tokens_details or NO_DETAILS
        cached = min(max(details.cached_tokens or 0, 0), prompt)
        written = min(max(details.cache_write_tokens or 0, 0), prompt - cached)
        reasoning = (self.completion_tokens_details or NO_DETAILS).reasoning_tokens or 0
        return Usage(prompt, completion, cached, written, min(max(reasoning, 0), completion))


class WireError(Struct, frozen=True):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None


class WireChunk(Struct):
    id: str | None = None
    choices: list[ChunkChoice] | None = None
    usage: WireUsage | None = None
    error: WireError | str | None = None


class WireMessage(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    images: list[Raw] | None = None
    audio: Raw | None = None
    annotations: list[Raw] | None = None


class WireChoice(Struct):
    message: WireMessage
    index: int = 0
    finish_reason: str | None = None
    logprobs: Raw = NULL


class WireCompletion(Struct):
    choices: list[WireChoice]
    id: str | None = None
    usage: WireUsage | None = None
    system_fingerprint: str | None = None


class OddChunk(WireChunk):
    usage: Any = None


class OddCompletion(WireCompletion):
    usage: Any = None


decode_chunk = msgspec.json.Decoder(WireChunk).decode
decode_completion = msgspec.json.Decoder(WireCompletion).decode
# Usage that is none must not cost the answer: it is then estimated.
decode_odd_chunk = msgspec.json.Decoder(OddChunk).decode
decode_odd_completion = msgspec.json.Decoder(OddCompletion).decode


class OpenAI:
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        quirks = endpoint.provider.quirks
        supported = endpoint.supported_parameters or STANDARD
        body: dict[str, Any] = {"model": endpoint.upstream_model}
        for name, raw in request.fields.items():
            if name in OPTIONAL:
                is_wanted = LISTED_AS.get(name, name) in supported
            else:
                is_wanted = name in ALWAYS or (endpoint.provider.passthrough and name not in OURS)
            if is_wanted and raw != NULL:
                body[name] = raw
        if max_tokens is not None:
            body[str(quirks.get("max_tokens_field", "max_tokens"))] = max_tokens
        if endpoint.service_tier:
            body["service_tier"] = endpoint.service_tier
        if request.chat.stream:
            body["stream"] = True
            if quirks.get("stream_usage", True):
                body["stream_options"] = {"include_usage": True}
        secret = endpoint.provider.secret
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return Call("/chat/completions", encode(body), headers)

    def completion(self, body: bytes) -> Completion:
        try:
            found = read_completion(body)
        except UNREADABLE as error:
            raise unreadable(error, body) from None
        if not found.choices:
            raise unreadable("no choices", body)
        return Completion(
            choices=[choice(one) for one in found.choices],
            usage=found.usage.canonical() if found.usage else None,
            upstream_id=found.id,
            system_fingerprint=found.system_fingerprint,
        )

    def stream(self) -> "OpenAIStream":
        return OpenAIStream()

    def error(self, status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
        return from_status(status, headers, body)


class OpenAIStream:
    def __init__(self) -> None:
        # Ids of the calls without an index, in order.
        self._calls: list[str] = []
        self._calls_tools = False

    def feed(self, payload: bytes) -> Iterable[Event]:
        try:
            chunk = read_chunk(payload)
        except UNREADABLE as error:
            raise unreadable(error, payload) from None
        if chunk.error is not None:
            return [failure(chunk.error, payload)]
        events: list[Event] = []
        if chunk.choices:
            for choice in chunk.choices:
                self._complete(choice)
            events.append(Content(chunk.choices, chunk.id))
        if chunk.usage is not None and (usage := chunk.usage.canonical()) is not None:
            events.append(UsageReport(usage))
        return events

    def _complete(self, choice: ChunkChoice) -> None:
        """Role in every delta, no null where strict clients refuse one, one word for reasoning, our finish reasons."""
        delta = choice.delta
        delta.role = "assistant"
        if delta.reasoning_content is not UNSET:
            delta.reasoning = delta.reasoning_content or delta.reasoning
            delta.reasoning_content = UNSET
        if not delta.reasoning:
            delta.reasoning = UNSET
        if not delta.refusal:
            delta.refusal = UNSET
        if delta.reasoning_details is None:
            delta.reasoning_details = UNSET
        if delta.images is None:
            delta.images = UNSET
        if delta.audio is None:
            delta.audio = UNSET
        if delta.annotations is None:
            delta.annotations = UNSET
        if delta.tool_calls:
            self._calls_tools = True
            delta.tool_calls = [self._tool_call(call, place) for place, call in enumerate(delta.tool_calls)]
        elif not delta.content:
            delta.tool_calls = UNSET
            delta.content = ""
        else:
            delta.tool_calls = UNSET
        if choice.finish_reason is not None:
            native = choice.native_finish_reason = choice.finish_reason or None
            choice.finish_reason = finish_reason(native, self._calls_tools) if native else None

    def _tool_call(self, call: ToolCallDelta, place: int) -> ToolCallDelta:
        """Without null members and with an index: both trip strict clients, and some vendors send no index."""
        index = call.index
        if not isinstance(index, int):
            if call.id and call.id not in self._calls:
                self._calls.append(call.id)
            # A piece without an id goes on with the last call.
            last = len(self._calls) - 1 if self._calls else place
            index = self._calls.index(call.id) if call.id else last
        function = call.function
        if function.name is None:
            function.name = UNSET
        if function.arguments is None:
            function.arguments = UNSET
        return ToolCallDelta(function, call.id or UNSET, call.type or UNSET, index)


def choice(found: WireChoice) -> Choice:
    message = found.message
    answer = Answer(
        content=message.content,
        refusal=message.refusal,
        reasoning=message.reasoning or message.reasoning_content,
        tool_calls=[tool_call(call) for call in message.tool_calls] if message.tool_calls else UNSET,
        # An empty one is kept: some clients send the whole message back as it came.
        reasoning_details=UNSET if message.reasoning_details is None else message.reasoning_details,
        images=message.images or UNSET,
        audio=message.audio or UNSET,
        annotations=message.annotations or UNSET,
    )
    return Choice(
        index=found.index,
        finish_reason=finish_reason(found.finish_reason, bool(message.tool_calls)),
        native_finish_reason=found.finish_reason,
        message=answer,
        logprobs=found.logprobs,
    )


def tool_call(call: ToolCallDelta) -> ToolCall:
    """Some vendors forget the id, without which no result could be told to its call."""
    function = FunctionCall(call.function.name or "", call.function.arguments or "")
    return ToolCall(call.id or f"call_{uuid4().hex[:24]}", function)


def finish_reason(native: str | None, calls_tools: bool) -> FinishReason:
    """Never empty and one of five; some vendors say "stop" although the answer calls tools."""
    reason = FINISH_REASONS.get(native or "", "stop")
    return "tool_calls" if calls_tools and reason == "stop" else reason


def read_completion(body: bytes) -> WireCompletion:
    try:
        return decode_completion(body)
    except msgspec.ValidationError:
        found = decode_odd_completion(body)
        found.usage = None
        return found


def read_chunk(payload: bytes) -> WireChunk:
    try:
        return decode_chunk(payload)
    except msgspec.ValidationError:
        found = decode_odd_chunk(payload)
        found.usage = None
        return found


def failure(error: WireError | str, payload: bytes) -> Failure:
    raw = payload[:RAW_BYTES].decode(errors="replace")
    if isinstance(error, str):
        return Failure(error, None, raw)
    return Failure(error.message or "the provider reported an error", str(error.code or error.type or ""), raw)


def unreadable(why: object, body: bytes) -> UpstreamError:
    raw = body[:2000].decode(errors="replace")
    return UpstreamError(Kind.PROTOCOL, f"the provider's answer could not be read: {why}", raw=raw)
