"""Answers of the wire `openai`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from providers.adapters.base import Reader, finish_reason, new_call_id
from providers.adapters.errors import UNREADABLE, decoded, in_stream, said, unreadable
from providers.adapters.events import url_citation
from providers.canonical import (
    NULL,
    Answer,
    Choice,
    ChunkChoice,
    Completion,
    Content,
    Details,
    Event,
    FinishReason,
    FunctionCall,
    ReasoningDetail,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)

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


class TokenDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


NO_DETAILS = TokenDetails()


class WireUsage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None
    # DeepSeek's and Moonshot's words for what was cached
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    # Perplexity's
    searches: int | None = field(name="num_search_queries", default=None)

    def canonical(self) -> Usage | None:
        """None without a count. Parts are clamped to their whole: a vendor's slip must not make a negative amount."""
        if self.prompt_tokens is None and self.completion_tokens is None:
            return None
        prompt = max(self.prompt_tokens or 0, 0)
        completion = max(self.completion_tokens or 0, 0)
        details = self.prompt_tokens_details or NO_DETAILS
        cached = details.cached_tokens or self.prompt_cache_hit_tokens or self.cached_tokens or 0
        cached = min(max(cached, 0), prompt)
        written = min(max(details.cache_write_tokens or 0, 0), prompt - cached)
        answered = self.completion_tokens_details or NO_DETAILS
        reasoning = answered.reasoning_tokens or 0
        if 0 < reasoning == (self.total_tokens or 0) - prompt - completion:
            # xAI counts reasoning beside the completion, not in it.
            completion += reasoning
        media = (
            details.audio_tokens,
            details.image_tokens,
            answered.audio_tokens,
            answered.image_tokens,
            self.searches,
        )
        return Usage(
            prompt,
            completion,
            cached,
            written,
            min(max(reasoning, 0), completion),
            details=of_media(*media) if any(media) else None,
        )


def of_media(
    audio: int | None, images: int | None, spoken: int | None, drawn: int | None, searches: int | None
) -> Details:
    return Details(
        searches=max(searches or 0, 0),
        audio=max(audio or 0, 0),
        image_tokens=max(images or 0, 0),
        output_audio=max(spoken or 0, 0),
        output_image_tokens=max(drawn or 0, 0),
    )


class Found(Struct, frozen=True):
    """A page that Perplexity has read."""

    url: str = ""
    title: str | None = None
    snippet: str | None = None


class WireChunk(Struct):
    id: str | None = None
    choices: list[ChunkChoice] | None = None
    # Decoded apart: a vendor's slip in it must not cost the client its answer.
    usage: Raw = NULL
    error: Raw = NULL
    # Perplexity's; in each chunk anew.
    search_results: Raw = NULL


class WireMessage(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    images: list[Raw] | None = None
    audio: dict[str, Raw] | None = None
    annotations: list[Raw] | None = None


class WireChoice(Struct):
    message: WireMessage
    index: int = 0
    finish_reason: str | None = None
    logprobs: Raw = NULL


class WireCompletion(Struct):
    choices: list[WireChoice]
    id: str | None = None
    usage: Raw = NULL
    system_fingerprint: str | None = None
    search_results: Raw = NULL


decode_chunk = msgspec.json.Decoder(WireChunk).decode
decode_completion = msgspec.json.Decoder(WireCompletion).decode
decode_found = msgspec.json.Decoder(list[Found] | None).decode
decode_usage = msgspec.json.Decoder(WireUsage | None).decode


class OpenAIStream(Reader):
    def __init__(self) -> None:
        # Ids of the calls without an index, in order.
        self._calls: list[str] = []
        self._calls_tools = False

    def feed(self, payload: bytes) -> Iterable[Event]:
        # As `decoded`, without the call: it would be a twentieth of what a chunk costs here.
        try:
            chunk = decode_chunk(payload)
        except UNREADABLE as error:
            raise unreadable(error, payload) from None
        if chunk.error != NULL or (chunk.choices is None and chunk.usage == NULL):
            # Older vLLM sends its error without a member around it.
            found = said(payload)
            if chunk.error != NULL or found.message:
                return [in_stream(found.message, found.code, payload)]
        events: list[Event] = []
        if chunk.choices:
            for choice in chunk.choices:
                self._complete(choice)
                if choice.finish_reason is not None and chunk.search_results != NULL:
                    choice.delta.annotations = choice.delta.annotations or pages(chunk.search_results)
            events.append(Content(chunk.choices, chunk.id))
        if chunk.usage != NULL and (usage := count(chunk.usage)) is not None:
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
            choice.finish_reason = finish_reason(FINISH_REASONS, native, self._calls_tools) if native else None

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


def completion(body: bytes) -> Completion:
    found = decoded(decode_completion, body)
    if not found.choices:
        raise unreadable("no choices", body)
    choices = [choice(one) for one in found.choices]
    if found.search_results != NULL:
        for one in choices:
            one.message.annotations = one.message.annotations or pages(found.search_results)
    return Completion(
        choices=choices,
        usage=count(found.usage),
        upstream_id=found.id,
        system_fingerprint=found.system_fingerprint,
    )


def pages(found: Raw) -> list[Raw] | UnsetType:
    """What the answer rests on as a whole; it names them by their number."""
    try:
        results = decode_found(found)
    except UNREADABLE:
        return UNSET
    return [url_citation(one.url, one.title, content=one.snippet) for one in results or () if one.url] or UNSET


def count(usage: Raw) -> Usage | None:
    """None when it cannot be read: an estimate is made then."""
    try:
        found = decode_usage(usage)
    except UNREADABLE:
        return None
    return found.canonical() if found else None


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
        finish_reason=finish_reason(FINISH_REASONS, found.finish_reason, bool(message.tool_calls)),
        native_finish_reason=found.finish_reason,
        message=answer,
        logprobs=found.logprobs,
    )


def tool_call(call: ToolCallDelta) -> ToolCall:
    """Some vendors forget the id, without which no result could be told to its call."""
    function = FunctionCall(call.function.name or "", call.function.arguments or "")
    return ToolCall(call.id or new_call_id(), function)
