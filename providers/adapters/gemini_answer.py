"""Answers of the wire `gemini`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw

from providers.adapters import events
from providers.adapters.base import Reader, finish_reason, new_call_id
from providers.adapters.errors import UNREADABLE, decoded, in_stream, of_detail, raw, unreadable
from providers.adapters.gemini_wire import (
    Blob,
    Call,
    Candidate,
    Grounding,
    LogprobsResult,
    Part,
    Segment,
    Source,
    Sources,
    Token,
    WireAnswer,
)
from providers.canonical import (
    NULL,
    Choice,
    ChunkChoice,
    Completion,
    Content,
    Delta,
    Event,
    Failure,
    FinishReason,
    FunctionCall,
    FunctionDelta,
    ReasoningDetail,
    ToolCall,
    ToolCallDelta,
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
encode = msgspec.json.Encoder().encode
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
        answer = [event for candidate in found.candidates for event in self._candidate(candidate)]
        if (usage := found.usage_metadata.canonical()) is not None:
            answer.append(UsageReport(usage))
        return answer

    def _candidate(self, candidate: Candidate) -> Iterable[Event]:
        place = candidate.index
        choices = [ChunkChoice(place, self._delta(candidate, part)) for part in candidate.content.parts]
        if choices and candidate.logprobs_result != NULL:
            choices[0].logprobs = logprobs_of(candidate)
        yield from (Content([choice], self._upstream_id) for choice in choices)
        if annotations := cited(candidate, self._texts.get(place, [])):
            yield events.cites(annotations, place)
        if native := candidate.finish_reason:
            reason = finish_reason(FINISH_REASONS, native, place in self._calls)
            yield Content([ChunkChoice(place, Delta(content=""), reason, native)], self._upstream_id)

    def _delta(self, candidate: Candidate, part: Part) -> Delta:
        delta = Delta(content="")
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
        else:
            delta.content = part.text or ""
            self._texts.setdefault(candidate.index, []).append(delta.content)
        delta.reasoning_details = self._details_of(part, call_id) or UNSET
        return delta

    def _details_of(self, part: Part, call_id: str | None) -> list[ReasoningDetail]:
        """Thoughts that follow one another are pieces of one."""
        details = []
        if part.thought and not part.function_call and not part.inline_data:
            details.append(thought(self._details, part.text or ""))
        if self._is_thinking and not part.thought:
            self._details += 1
        self._is_thinking = part.thought
        if part.thought_signature:
            place = self._details + part.thought
            details.append(signature(place, part.thought_signature, call_id))
            self._details = place + 1
            self._is_thinking = False
        return details
