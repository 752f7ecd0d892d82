"""Answers of the wire `gemini`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, Struct

from providers.adapters import events
from providers.adapters.base import Reader, finish_reason, new_call_id
from providers.adapters.errors import NULL, UNREADABLE, Detail, decoded, in_stream, of_detail, raw, unreadable
from providers.canonical import (
    Choice,
    ChunkChoice,
    Completion,
    Content,
    Delta,
    Details,
    Event,
    Failure,
    FinishReason,
    FunctionCall,
    FunctionDelta,
    ReasoningDetail,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.errors import Kind, UpstreamError

FORMAT = "google-gemini-v1"
FILTERED = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
)
FAILED = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
)
FINISH_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    **dict.fromkeys(FILTERED, "content_filter"),
    **dict.fromkeys(FAILED, "error"),
}
EMPTY = Raw(b"{}")
NO_DETAILS = Details()
encode = msgspec.json.Encoder().encode


class Call(Struct, frozen=True):
    name: str = ""
    args: Raw = EMPTY
    id: str | None = None


class Blob(Struct, frozen=True, rename="camel"):
    data: str = ""
    mime_type: str = "image/png"


class Part(Struct, frozen=True, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None


class Parts(Struct, frozen=True):
    parts: list[Part] = []


class Source(Struct, frozen=True, rename="camel"):
    uri: str = ""
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


class Sources(Struct, frozen=True, rename="camel"):
    # AI Studio's word, and Vertex's.
    citation_sources: list[Source] = []
    citations: list[Source] = []


class Page(Struct, frozen=True):
    uri: str = ""
    title: str | None = None


class GroundingChunk(Struct, frozen=True):
    web: Page | None = None


class Segment(Struct, frozen=True, rename="camel"):
    start_index: int = 0
    end_index: int = 0


class Support(Struct, frozen=True, rename="camel"):
    segment: Segment = Segment()
    grounding_chunk_indices: list[int] = []


class Grounding(Struct, frozen=True, rename="camel"):
    grounding_chunks: list[GroundingChunk] = []
    grounding_supports: list[Support] = []


class Token(Struct, frozen=True, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class Tokens(Struct, frozen=True):
    candidates: list[Token] = []


class LogprobsResult(Struct, frozen=True, rename="camel"):
    chosen_candidates: list[Token] = []
    top_candidates: list[Tokens] = []


class Candidate(Struct, frozen=True, rename="camel"):
    content: Parts = Parts()
    # Decoded apart: a slip in them must not cost the client its answer.
    citation_metadata: Raw = NULL
    grounding_metadata: Raw = NULL
    logprobs_result: Raw = NULL
    finish_reason: str | None = None
    index: int = 0


class Counted(Struct, frozen=True, rename="camel"):
    modality: str = ""
    token_count: int = 0


class WireUsage(Struct, frozen=True, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[Counted] | None = None
    candidates_tokens_details: list[Counted] | None = None
    cache_tokens_details: list[Counted] | None = None
    tool_use_prompt_tokens_details: list[Counted] | None = None

    def canonical(self) -> Usage | None:
        """Thoughts are counted beside the candidates, cached content in the prompt."""
        if self.prompt_token_count is None and self.candidates_token_count is None:
            return None
        prompt = max(self.prompt_token_count or 0, 0) + max(self.tool_use_prompt_token_count or 0, 0)
        thoughts = max(self.thoughts_token_count or 0, 0)
        cached = min(max(self.cached_content_token_count or 0, 0), prompt)
        completion = max(self.candidates_token_count or 0, 0) + thoughts
        return Usage(prompt, completion, cached, 0, thoughts, details=self.details())

    def details(self) -> Details | None:
        """Of modalities that may have a price of their own."""
        prompts = (self.prompt_tokens_details, self.tool_use_prompt_tokens_details)
        audio, cached_audio = counted("AUDIO", *prompts), counted("AUDIO", self.cache_tokens_details)
        images = max(counted("IMAGE", *prompts) - counted("IMAGE", self.cache_tokens_details), 0)
        found = Details(
            audio=audio,
            cached_audio=min(cached_audio, audio),
            image_tokens=images,
            output_audio=counted("AUDIO", self.candidates_tokens_details),
            output_image_tokens=counted("IMAGE", self.candidates_tokens_details),
        )
        return None if found == NO_DETAILS else found


def counted(modality: str, *lists: list[Counted] | None) -> int:
    return sum(max(one.token_count, 0) for found in lists if found for one in found if one.modality == modality)


class Feedback(Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class WireAnswer(Struct, frozen=True, rename="camel"):
    candidates: list[Candidate] = []
    usage_metadata: WireUsage = WireUsage()
    prompt_feedback: Feedback = Feedback()
    response_id: str | None = None
    error: Detail | None = None


decode_answer = msgspec.json.Decoder(WireAnswer).decode
decode_logprobs = msgspec.json.Decoder(LogprobsResult).decode
decode_sources = msgspec.json.Decoder(Sources | None).decode
decode_grounding = msgspec.json.Decoder(Grounding | None).decode
NO_SOURCES, NO_GROUNDING = Sources(), Grounding()


def completion(body: bytes) -> Completion:
    found = decoded(decode_answer, body)
    if found.prompt_feedback.block_reason:
        raise UpstreamError(Kind.CONTENT_POLICY, blocked(found), raw=raw(body))
    if not found.candidates:
        raise unreadable("no candidates", body)
    choices = [choice(candidate) for candidate in found.candidates]
    return Completion(choices, found.usage_metadata.canonical(), found.response_id)


def blocked(found: WireAnswer) -> str:
    return f"The provider refused the prompt: {found.prompt_feedback.block_reason}."


def choice(candidate: Candidate) -> Choice:
    texts, thoughts = [], []
    details: list[ReasoningDetail] = []
    calls: list[ToolCall] = []
    images: list[Raw] = []
    for part in candidate.content.parts:
        call_id = None
        if part.function_call:
            call_id = id_of(part.function_call)
            arguments = bytes(part.function_call.args).decode()
            calls.append(ToolCall(call_id, FunctionCall(part.function_call.name, arguments)))
        elif part.inline_data:
            images.append(image(part.inline_data, len(images)))
        elif part.thought:
            thoughts.append(part.text or "")
            details.append(thought(len(details), part.text or ""))
        elif part.text is not None:
            texts.append(part.text)
        if part.thought_signature:
            details.append(signature(len(details), part.thought_signature, call_id))
    message = events.answer(texts, thoughts, details, calls)
    message.images = images or UNSET
    message.annotations = cited(candidate, texts) or UNSET
    native = candidate.finish_reason
    return Choice(
        candidate.index, finish_reason(FINISH_REASONS, native, bool(calls)), native, message, logprobs_of(candidate)
    )


def logprobs_of(candidate: Candidate) -> Raw:
    """In the words of chat completions."""
    if candidate.logprobs_result == NULL:
        return NULL
    try:
        found = decode_logprobs(candidate.logprobs_result)
    except UNREADABLE:
        return NULL
    rows = [{**token_of(one), "top_logprobs": []} for one in found.chosen_candidates]
    for row, top in zip(rows, found.top_candidates, strict=False):
        row["top_logprobs"] = [token_of(one) for one in top.candidates]
    return Raw(encode({"content": rows, "refusal": None}))


def token_of(found: Token) -> dict[str, object]:
    return {"token": found.token, "logprob": found.log_probability, "bytes": list(found.token.encode())}


def cited(candidate: Candidate, texts: list[str]) -> list[Raw]:
    """Pages that the answer repeats or rests on; Google counts places in bytes."""
    if candidate.citation_metadata == NULL and candidate.grounding_metadata == NULL:
        return []
    try:
        sources = decode_sources(candidate.citation_metadata) or NO_SOURCES
        grounding = decode_grounding(candidate.grounding_metadata) or NO_GROUNDING
    except UNREADABLE:
        return []
    text = "".join(texts).encode()
    found = [
        place_of(one.uri, one.title, one, text) for one in (*sources.citation_sources, *sources.citations) if one.uri
    ]
    pages = [chunk.web for chunk in grounding.grounding_chunks]
    for support in grounding.grounding_supports:
        for place in support.grounding_chunk_indices:
            if 0 <= place < len(pages) and (page := pages[place]) and page.uri:
                found.append(place_of(page.uri, page.title, support.segment, text))
    return found


def place_of(url: str, title: str | None, segment: Segment | Source, text: bytes) -> Raw:
    start, end = (
        len(text[: max(place, 0)].decode(errors="ignore")) for place in (segment.start_index, segment.end_index)
    )
    return events.url_citation(url, title, start=start, end=end)


def id_of(call: Call) -> str:
    """Older models give none."""
    return call.id or new_call_id()


def thought(index: int, text: str) -> ReasoningDetail:
    return ReasoningDetail("reasoning.text", text=text, format=FORMAT, index=index)


def signature(index: int, data: str, call_id: str | None) -> ReasoningDetail:
    """Tied to its call by the id: it must go back on the same one."""
    return ReasoningDetail("reasoning.encrypted", data=data, id=call_id or UNSET, format=FORMAT, index=index)


def image(blob: Blob, index: int) -> Raw:
    url = f"data:{blob.mime_type};base64,{blob.data}"
    return Raw(encode({"type": "image_url", "index": index, "image_url": {"url": url}}))


class GeminiStream(Reader):
    def __init__(self) -> None:
        self._upstream_id: str | None = None
        self._calls: dict[int, int] = {}
        self._details = 0
        self._images = 0
        self._is_thinking = False
        # Of each candidate, as citations count places in all of it
        self._texts: dict[int, list[str]] = {}

    def feed(self, payload: bytes) -> Iterable[Event]:
        found = decoded(decode_answer, payload)
        if found.error is not None:
            said = of_detail(found.error)
            return [in_stream(said.message, said.code, payload)]
        if found.prompt_feedback.block_reason:
            code = found.prompt_feedback.block_reason
            return [Failure(blocked(found), code, raw(payload), Kind.CONTENT_POLICY)]
        self._upstream_id = found.response_id or self._upstream_id
        answer: list[Event] = []
        for candidate in found.candidates:
            told = [self._event(candidate.index, self._delta(candidate, part)) for part in candidate.content.parts]
            if told and candidate.logprobs_result != NULL:
                told[0].choices[0].logprobs = logprobs_of(candidate)
            answer += told
            if annotations := cited(candidate, self._texts.get(candidate.index, [])):
                answer.append(events.cites(annotations, candidate.index))
            if native := candidate.finish_reason:
                reason = finish_reason(FINISH_REASONS, native, candidate.index in self._calls)
                last = ChunkChoice(candidate.index, Delta(content=""), reason, native)
                answer.append(Content([last], self._upstream_id))
        if (usage := found.usage_metadata.canonical()) is not None:
            answer.append(UsageReport(usage))
        return answer

    def _event(self, index: int, delta: Delta) -> Content:
        return Content([ChunkChoice(index, delta)], self._upstream_id)

    def _delta(self, candidate: Candidate, part: Part) -> Delta:
        delta = Delta(content="")
        details = []
        call_id = None
        if part.function_call:
            place = self._calls[candidate.index] = self._calls.get(candidate.index, -1) + 1
            call_id = id_of(part.function_call)
            function = FunctionDelta(part.function_call.name, bytes(part.function_call.args).decode())
            delta.tool_calls = [ToolCallDelta(function, call_id, "function", place)]
        elif part.inline_data:
            delta.images = [image(part.inline_data, self._images)]
            self._images += 1
        elif part.thought:
            delta.reasoning = part.text or UNSET
            details.append(thought(self._details, part.text or ""))
        else:
            delta.content = part.text or ""
            self._texts.setdefault(candidate.index, []).append(delta.content)
        # Thoughts that follow one another are pieces of one.
        if self._is_thinking and not part.thought:
            self._details += 1
        self._is_thinking = part.thought
        if part.thought_signature:
            place = self._details + part.thought
            details.append(signature(place, part.thought_signature, call_id))
            self._details = place + 1
            self._is_thinking = False
        if details:
            delta.reasoning_details = details
        return delta
