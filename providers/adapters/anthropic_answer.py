"""Answers of the wire `anthropic`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, Struct

from providers.adapters import events
from providers.adapters.base import Reader, finish_reason
from providers.adapters.errors import UNREADABLE, Detail, decoded, in_stream
from providers.canonical import (
    NULL,
    Choice,
    Completion,
    Delta,
    Details,
    Event,
    FinishReason,
    FunctionCall,
    Native,
    ReasoningDetail,
    ToolCall,
    Usage,
    UsageReport,
)

FORMAT = "anthropic-claude-v1"
STOP_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
EMPTY = Raw(b"{}")
# Blocks that the canonical form has a place for.
KNOWN = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
# Of a whole message or of a stream's last words: what the canonical form has no place for.
REST = ("stop_sequence", "stop_details", "container", "context_management")


class CacheCreation(Struct, frozen=True):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    thinking_tokens: int = 0


class WireUsage(Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None

    def after(self, earlier: "WireUsage") -> "WireUsage":
        """The end of a stream repeats only some of what its start said."""
        pairs = {name: getattr(self, name) for name in self.__struct_fields__}
        given = {name: value for name, value in pairs.items() if value is not None}
        return msgspec.structs.replace(earlier, **given)

    def canonical(self) -> Usage | None:
        """Anthropic counts what was cached beside the input, not in it."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        kept = self.cache_creation or CacheCreation()
        written = max(
            self.cache_creation_input_tokens or 0, kept.ephemeral_5m_input_tokens + kept.ephemeral_1h_input_tokens, 0
        )
        read = max(self.cache_read_input_tokens or 0, 0)
        output = max(self.output_tokens or 0, 0)
        thought = self.output_tokens_details.thinking_tokens if self.output_tokens_details else 0
        prompt = max(self.input_tokens or 0, 0) + read + written
        hour = min(max(kept.ephemeral_1h_input_tokens, 0), written)
        details = Details(cache_write_1h=hour) if hour else None
        return Usage(prompt, output, read, written, min(max(thought, 0), output), details=details)


class Block(Struct, frozen=True):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = EMPTY
    citations: list[Raw] | None = None


class Citation(Struct, frozen=True):
    """Of a page; of the client's own documents there is no address."""

    type: str = ""
    url: str | None = None
    source: str | None = None
    title: str | None = None
    cited_text: str | None = None


class WireMessage(Struct, frozen=True):
    content: list[Block] = []
    id: str | None = None
    stop_reason: str | None = None
    usage: WireUsage = WireUsage()


class WireDelta(Struct, frozen=True):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    citation: Raw = NULL


class WireEvent(Struct, frozen=True):
    type: str
    index: int = 0
    message: WireMessage | None = None
    content_block: Block | None = None
    delta: WireDelta = WireDelta()
    usage: WireUsage | None = None
    error: Detail | None = None


class Whole(WireMessage, frozen=True, kw_only=True):
    # An error that came with status 200 has none.
    content: list[Block]


decode_message = msgspec.json.Decoder(Whole).decode
decode_event = msgspec.json.Decoder(WireEvent).decode
decode_citation = msgspec.json.Decoder(Citation).decode
decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


def completion(body: bytes) -> Completion:
    found = decoded(decode_message, body)
    texts, thoughts = [], []
    details: list[ReasoningDetail] = []
    calls: list[ToolCall] = []
    annotations: list[Raw] = []
    length = 0
    for block in found.content:
        match block.type:
            case "text":
                texts.append(block.text)
                annotations += cited(block.citations or (), length, length + len(block.text))
                length += len(block.text)
            case "thinking":
                thoughts.append(block.thinking)
                details.append(thought(len(details), block.thinking, block.signature))
            case "redacted_thinking":
                details.append(hidden(len(details), block.data))
            case "tool_use":
                calls.append(ToolCall(block.id, FunctionCall(block.name, bytes(block.input).decode())))
    message = events.answer(texts, thoughts, details, calls)
    message.annotations = annotations or UNSET
    choice = Choice(0, finish_reason(STOP_REASONS, found.stop_reason, bool(calls)), found.stop_reason, message)
    members = decode_members(body)
    native = Native("anthropic", "rest", {"content": members["content"], **rest(members)})
    return Completion([choice], found.usage.canonical(), found.id, native=native)


def rest(members: dict[str, Raw]) -> dict[str, Raw]:
    return {name: members[name] for name in REST if name in members and members[name] != NULL}


def cited(citations: Iterable[Raw], start: int, end: int) -> list[Raw]:
    """Pages that the text between these places rests on."""
    found = []
    for raw in citations:
        try:
            one = decode_citation(raw)
        except UNREADABLE:
            continue
        url = one.url or one.source or ""
        if url.startswith(("https://", "http://")):
            found.append(events.url_citation(url, one.title, start=start, end=end, content=one.cited_text))
    return found


def thought(index: int, text: str, signature: str = "") -> ReasoningDetail:
    detail = ReasoningDetail("reasoning.text", text=text, format=FORMAT, index=index)
    if signature:
        detail.signature = signature
    return detail


def signed(index: int, signature: str) -> ReasoningDetail:
    """The end of a thought, whose text came before."""
    return ReasoningDetail("reasoning.text", signature=signature, format=FORMAT, index=index)


def hidden(index: int, data: str) -> ReasoningDetail:
    return ReasoningDetail("reasoning.encrypted", data=data, format=FORMAT, index=index)


class AnthropicStream(Reader):
    def __init__(self) -> None:
        self._usage = WireUsage()
        self._calls = -1
        self._has_arguments = False
        self._details = -1
        self._kind = ""
        # Of the text so far, and of what came before its current block
        self._length = self._began = 0
        self._citations: list[Raw] = []

    def feed(self, payload: bytes) -> Iterable[Event]:
        event = decoded(decode_event, payload)
        match event.type:
            case "content_block_delta":
                return self._goes_on(event.delta, payload)
            case "content_block_start":
                return self._begins(event.content_block, payload) if event.content_block else []
            case "content_block_stop":
                return self._ends()
            case "message_delta":
                return [*self._rest(payload), *self._finishes(event)]
            case "message_start" if event.message:
                self._usage = event.message.usage
                return [events.delta(Delta(content=""), event.message.id)]
            case "error":
                said = event.error or Detail()
                return [in_stream(said.message or "", str(said.type or ""), payload)]
            case _:
                return []

    def _begins(self, block: Block, payload: bytes) -> Iterable[Event]:
        self._kind = block.type
        self._began = self._length
        match block.type:
            case "tool_use":
                self._calls += 1
                arguments = "" if block.input == EMPTY else bytes(block.input).decode()
                self._has_arguments = bool(arguments)
                return [events.call_begins(self._calls, block.id, block.name, arguments)]
            case "thinking":
                self._details += 1
                return (
                    [events.reasoning(block.thinking, thought(self._details, block.thinking))] if block.thinking else []
                )
            case "redacted_thinking":
                self._details += 1
                return [events.reasoning("", hidden(self._details, block.data))]
            case "text":
                self._length += len(block.text)
                self._citations += block.citations or ()
                return [Native("anthropic", "splits", {}), *([events.text(block.text)] if block.text else [])]
            case _:
                return [Native("anthropic", "begins", {"content_block": decode_members(payload)["content_block"]})]

    def _goes_on(self, delta: WireDelta, payload: bytes) -> Iterable[Event]:
        match delta.type:
            case "text_delta":
                self._length += len(delta.text)
                return [events.text(delta.text)]
            case "input_json_delta" if delta.partial_json and self._kind == "tool_use":
                self._has_arguments = True
                return [events.call_goes_on(self._calls, delta.partial_json)]
            case "thinking_delta":
                return [events.reasoning(delta.thinking, thought(self._details, delta.thinking))]
            case "signature_delta":
                return [events.reasoning("", signed(self._details, delta.signature))]
            case "citations_delta":
                self._citations.append(delta.citation)
            case _ if self._kind in KNOWN:
                return []
        members = decode_members(payload)
        return [Native("anthropic", "goes_on", {"delta": members["delta"]})] if "delta" in members else []

    def _ends(self) -> Iterable[Event]:
        """A call without arguments has none in the stream either, which no client could parse."""
        kind, self._kind = self._kind, ""
        if kind not in KNOWN:
            return [Native("anthropic", "ends", {})]
        if self._citations:
            citations, self._citations = self._citations, []
            annotations = cited(citations, self._began, self._length)
            return [events.cites(annotations)] if annotations else []
        is_bare = kind == "tool_use" and not self._has_arguments
        return [events.call_goes_on(self._calls, "{}")] if is_bare else []

    def _rest(self, payload: bytes) -> Iterable[Event]:
        members = decode_members(payload)
        found = rest(members) | rest(decode_members(members["delta"]) if "delta" in members else {})
        return [Native("anthropic", "rest", found)] if found else []

    def _finishes(self, event: WireEvent) -> Iterable[Event]:
        found: list[Event] = []
        native = event.delta.stop_reason
        if native:
            found.append(events.finish(finish_reason(STOP_REASONS, native, self._calls >= 0), native))
        if event.usage is not None:
            self._usage = event.usage.after(self._usage)
            if (usage := self._usage.canonical()) is not None:
                found.append(UsageReport(usage))
        return found
