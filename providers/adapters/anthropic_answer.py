"""Answers of the wire `anthropic`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from providers.adapters import events
from providers.adapters.base import Reader
from providers.adapters.errors import UNREADABLE, Detail, in_stream, unreadable
from providers.canonical import (
    Choice,
    Completion,
    Delta,
    Details,
    Event,
    FinishReason,
    FunctionCall,
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


def completion(body: bytes) -> Completion:
    try:
        found = decode_message(body)
    except UNREADABLE as error:
        raise unreadable(error, body) from None
    texts, thoughts = [], []
    details: list[ReasoningDetail] = []
    calls: list[ToolCall] = []
    for block in found.content:
        match block.type:
            case "text":
                texts.append(block.text)
            case "thinking":
                thoughts.append(block.thinking)
                details.append(thought(len(details), block.thinking, block.signature))
            case "redacted_thinking":
                details.append(hidden(len(details), block.data))
            case "tool_use":
                calls.append(ToolCall(block.id, FunctionCall(block.name, bytes(block.input).decode())))
    choice = Choice(
        index=0,
        finish_reason=finish_reason(found.stop_reason, bool(calls)),
        native_finish_reason=found.stop_reason,
        message=events.answer(texts, thoughts, details, calls),
    )
    return Completion([choice], found.usage.canonical(), found.id)


def finish_reason(native: str | None, calls_tools: bool) -> FinishReason:
    reason = STOP_REASONS.get(native or "", "stop")
    return "tool_calls" if calls_tools and reason == "stop" else reason


def thought(index: int, text: str, signature: str = "") -> ReasoningDetail:
    detail = ReasoningDetail("reasoning.text", text=text, format=FORMAT, index=index)
    if signature:
        detail.signature = signature
    return detail


def hidden(index: int, data: str) -> ReasoningDetail:
    return ReasoningDetail("reasoning.encrypted", data=data, format=FORMAT, index=index)


class AnthropicStream(Reader):
    def __init__(self) -> None:
        self._usage = WireUsage()
        self._calls = -1
        self._has_arguments = False
        self._details = -1
        self._kind = ""

    def feed(self, payload: bytes) -> Iterable[Event]:
        try:
            event = decode_event(payload)
        except UNREADABLE as error:
            raise unreadable(error, payload) from None
        match event.type:
            case "content_block_delta":
                return self._goes_on(event.delta)
            case "content_block_start":
                return self._begins(event.content_block) if event.content_block else []
            case "content_block_stop":
                return self._ends()
            case "message_delta":
                return self._finishes(event)
            case "message_start" if event.message:
                self._usage = event.message.usage
                return [events.delta(Delta(content=""), event.message.id)]
            case "error":
                said = event.error or Detail()
                return [in_stream(said.message or "", str(said.type or ""), payload)]
            case _:
                return []

    def _begins(self, block: Block) -> Iterable[Event]:
        self._kind = block.type
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
            case "text" if block.text:
                return [events.text(block.text)]
            case _:
                return []

    def _goes_on(self, delta: WireDelta) -> Iterable[Event]:
        match delta.type:
            case "text_delta":
                return [events.text(delta.text)]
            case "input_json_delta" if delta.partial_json and self._kind == "tool_use":
                self._has_arguments = True
                return [events.call_goes_on(self._calls, delta.partial_json)]
            case "thinking_delta":
                return [events.reasoning(delta.thinking, thought(self._details, delta.thinking))]
            case "signature_delta":
                detail = ReasoningDetail(
                    "reasoning.text", signature=delta.signature, format=FORMAT, index=self._details
                )
                return [events.reasoning("", detail)]
            case _:
                return []

    def _ends(self) -> Iterable[Event]:
        """A call without arguments has none in the stream either, which no client could parse."""
        is_bare = self._kind == "tool_use" and not self._has_arguments
        self._kind = ""
        return [events.call_goes_on(self._calls, "{}")] if is_bare else []

    def _finishes(self, event: WireEvent) -> Iterable[Event]:
        found: list[Event] = []
        native = event.delta.stop_reason
        if native:
            found.append(events.finish(finish_reason(native, self._calls >= 0), native))
        if event.usage is not None:
            self._usage = event.usage.after(self._usage)
            if (usage := self._usage.canonical()) is not None:
                found.append(UsageReport(usage))
        return found
