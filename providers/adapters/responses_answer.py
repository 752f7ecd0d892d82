"""Answers of the wire `responses`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct

from providers.adapters import events
from providers.adapters.base import Reader
from providers.adapters.errors import UNREADABLE, Detail, decoded, in_stream, of_detail, raw
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
    Native,
    ReasoningDetail,
    ToolCall,
    Usage,
    UsageReport,
)
from providers.errors import UpstreamError

FORMAT = "openai-responses-v1"
# Items that the canonical form has a place for.
KNOWN = frozenset({"message", "reasoning", "function_call"})
INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class InputDetails(Struct, frozen=True):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    reasoning_tokens: int = 0


class WireUsage(Struct, frozen=True):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None

    def canonical(self) -> Usage:
        prompt, output = max(self.input_tokens, 0), max(self.output_tokens, 0)
        kept = self.input_tokens_details or InputDetails()
        cached = min(max(kept.cached_tokens, 0), prompt)
        written = min(max(kept.cache_write_tokens, 0), prompt - cached)
        thought = (self.output_tokens_details or OutputDetails()).reasoning_tokens
        return Usage(prompt, output, cached, written, min(max(thought, 0), output))


class Annotation(Struct, frozen=True):
    type: str = ""
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Piece(Struct, frozen=True):
    type: str = ""
    text: str = ""
    refusal: str = ""
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None


class Item(Struct, frozen=True):
    type: str
    id: str | None = None
    content: list[Piece] | None = None
    summary: list[Piece] | None = None
    encrypted_content: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def thoughts(self) -> str:
        """The summary, or the reasoning itself where a server shows it."""
        return "\n\n".join(piece.text for piece in self.summary or self.content or [])


class Incomplete(Struct, frozen=True):
    reason: str = ""


class WireAnswer(Struct, frozen=True):
    output: list[Item]
    id: str | None = None
    status: str | None = None
    error: Detail | None = None
    incomplete_details: Incomplete | None = None
    usage: WireUsage | None = None


class WireEvent(Struct, frozen=True):
    type: str
    response: WireAnswer | None = None
    item: Item | None = None
    item_id: str | None = None
    output_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    annotation: Raw = NULL
    logprobs: list[Raw] | None = None
    # Of the event `error`
    code: str | None = None
    message: str | None = None
    error: Detail | None = None


encode = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(WireAnswer).decode
decode_event = msgspec.json.Decoder(WireEvent).decode
decode_annotation = msgspec.json.Decoder(Annotation).decode
decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


def completion(body: bytes) -> Completion:
    found = decoded(decode_answer, body)
    if found.status == "failed":
        failure = failed(found, body)
        raise UpstreamError(failure.kind, failure.message, raw=raw(body), provider_code=failure.code)
    texts: list[str] = []
    refusals, thoughts = [], []
    details: list[ReasoningDetail] = []
    calls: list[ToolCall] = []
    annotations: list[Raw] = []
    tokens: list[Raw] = []
    for item in found.output:
        match item.type:
            case "message":
                for piece in item.content or []:
                    if piece.type == "refusal":
                        refusals.append(piece.refusal)
                    elif piece.type == "output_text":
                        annotations += cited(piece.annotations or (), sum(map(len, texts)))
                        texts.append(piece.text)
                        tokens += piece.logprobs or ()
            case "reasoning":
                thoughts.append(item.thoughts)
                if item.thoughts:
                    details.append(summary(len(details), item.thoughts, item.id))
                if item.encrypted_content:
                    details.append(sealed(len(details), item.encrypted_content, item.id))
            case "function_call":
                calls.append(ToolCall(item.call_id, FunctionCall(item.name, item.arguments)))
    message = events.answer(texts, thoughts, details, calls)
    message.refusal = "".join(refusals) or None
    message.annotations = annotations or UNSET
    choice = Choice(0, finish_reason(found, bool(calls)), native(found), message, logprobs_of(tokens))
    output = Native("responses", "rest", {"output": decode_members(body)["output"]})
    return Completion([choice], found.usage.canonical() if found.usage else None, found.id, native=output)


def logprobs_of(tokens: list[Raw] | None) -> Raw:
    """Each token's are written as in chat completions."""
    return Raw(encode({"content": tokens, "refusal": None})) if tokens else NULL


def cited(annotations: Iterable[Raw], before: int) -> list[Raw]:
    """Pages; a text's places follow those of the texts before it."""
    found = []
    for raw_one in annotations:
        try:
            one = decode_annotation(raw_one)
        except UNREADABLE:
            continue
        if one.type == "url_citation" and one.url:
            start, end = before + (one.start_index or 0), before + (one.end_index or 0)
            found.append(events.url_citation(one.url, one.title, start=start, end=end))
    return found


def finish_reason(found: WireAnswer, calls_tools: bool) -> FinishReason:
    if found.incomplete_details is not None and found.status == "incomplete":
        return INCOMPLETE.get(found.incomplete_details.reason, "length")
    return "tool_calls" if calls_tools else "stop"


def native(found: WireAnswer) -> str:
    reason = found.incomplete_details.reason if found.incomplete_details else ""
    return reason or found.status or "completed"


def failed(found: WireAnswer, payload: bytes) -> Failure:
    told = of_detail(found.error or Detail())
    return in_stream(told.message, told.code, payload)


def summary(index: int, text: str, item: str | None) -> ReasoningDetail:
    return ReasoningDetail("reasoning.summary", summary=text, id=item or UNSET, format=FORMAT, index=index)


def sealed(index: int, data: str, item: str | None) -> ReasoningDetail:
    return ReasoningDetail("reasoning.encrypted", data=data, id=item or UNSET, format=FORMAT, index=index)


class ResponsesStream(Reader):
    def __init__(self) -> None:
        # Places of calls among the calls, by their item's place in the output.
        self._calls: dict[int, int] = {}
        self._details = 0
        self._has_summary = False
        self._summary_index = 0
        # Whether an item that only the family knows is open
        self._is_native = False
        # Of the text so far, and of what came before its current part
        self._length = self._began = 0

    def feed(self, payload: bytes) -> Iterable[Event]:
        event = decoded(decode_event, payload)
        match event.type:
            case "response.output_text.delta":
                text = event.delta or ""
                self._length += len(text)
                return [Content([ChunkChoice(0, Delta(content=text), logprobs=logprobs_of(event.logprobs))])]
            case "response.function_call_arguments.delta":
                place = self._calls.get(event.output_index, 0)
                return [events.call_goes_on(place, event.delta)] if event.delta else []
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [self._thinks(event)]
            case "response.refusal.delta":
                return [events.delta(Delta(content="", refusal=event.delta or UNSET))]
            case "response.content_part.added":
                self._began = self._length
                return []
            case "response.output_text.annotation.added":
                annotations = cited([event.annotation], self._began)
                as_it_came = Native("responses", "goes_on", decode_members(payload))
                return [as_it_came, *([events.cites(annotations)] if annotations else [])]
            case "response.output_item.added" if event.item:
                return self._begins(event.item, event.output_index, payload)
            case "response.output_item.done" if event.item:
                return self._thought(event.item) if event.item.type in KNOWN else self._native("ends", payload)
            case "response.created" if event.response:
                return [events.delta(Delta(content=""), event.response.id)]
            case "response.completed" | "response.incomplete" if event.response:
                return self._ends(event.response)
            case "response.failed" if event.response:
                return [failed(event.response, payload)]
            case "error":
                told = of_detail(event.error or Detail(event.message, event.code))
                return [in_stream(told.message, told.code, payload)]
            case _ if self._is_native:
                return [Native("responses", "goes_on", decode_members(payload))]
            case _:
                return []

    def _begins(self, item: Item, place: int, payload: bytes) -> Iterable[Event]:
        if item.type not in KNOWN:
            return self._native("begins", payload)
        if item.type != "function_call":
            return []
        index = self._calls[place] = len(self._calls)
        return [events.call_begins(index, item.call_id, item.name, item.arguments)]

    def _native(self, step: Literal["begins", "ends"], payload: bytes) -> Iterable[Event]:
        self._is_native = step == "begins"
        return [Native("responses", step, {"item": decode_members(payload)["item"]})]

    def _thinks(self, event: WireEvent) -> Event:
        text = event.delta or ""
        if self._has_summary and event.summary_index != self._summary_index:
            text = "\n\n" + text
        self._has_summary = True
        self._summary_index = event.summary_index
        return events.reasoning(text, summary(self._details, text, event.item_id))

    def _thought(self, item: Item) -> Iterable[Event]:
        if item.type != "reasoning":
            return []
        self._details += self._has_summary
        self._has_summary = False
        self._summary_index = 0
        if not item.encrypted_content:
            return []
        detail = sealed(self._details, item.encrypted_content, item.id)
        self._details += 1
        return [events.reasoning("", detail)]

    def _ends(self, response: WireAnswer) -> Iterable[Event]:
        found: list[Event] = [events.finish(finish_reason(response, bool(self._calls)), native(response))]
        if response.usage is not None:
            found.append(UsageReport(response.usage.canonical()))
        return found
