"""Answers of the wire `bedrock`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from providers.adapters import events
from providers.adapters.anthropic_answer import hidden, signed, thought
from providers.adapters.base import Reader, finish_reason
from providers.adapters.errors import UNREADABLE, decoded, in_stream, unreadable
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

STOP_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
EMPTY = Raw(b"{}")


class CacheDetail(Struct, frozen=True, rename="camel"):
    """What was written to the cache for so long."""

    ttl: str = ""
    input_tokens: int = 0


class WireUsage(Struct, frozen=True, rename="camel"):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None

    def canonical(self) -> Usage:
        """What was cached is counted beside the input, not in it."""
        read = max(self.cache_read_input_tokens or 0, 0)
        kept = self.cache_details or []
        written = max(self.cache_write_input_tokens or 0, sum(one.input_tokens for one in kept), 0)
        hour = min(max(sum(one.input_tokens for one in kept if one.ttl == "1h"), 0), written)
        details = Details(cache_write_1h=hour) if hour else None
        prompt = max(self.input_tokens, 0) + read + written
        return Usage(prompt, max(self.output_tokens, 0), read, written, details=details)


class ReasoningText(Struct, frozen=True):
    text: str = ""
    signature: str = ""


class ReasoningContent(Struct, frozen=True, rename="camel"):
    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None
    # Of a stream's delta
    text: str = ""
    signature: str = ""


class ToolUse(Struct, frozen=True, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = EMPTY


class Block(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: ReasoningContent | None = None


class WireMessage(Struct, frozen=True):
    content: list[Block] = []


class Output(Struct, frozen=True):
    message: WireMessage


class WireAnswer(Struct, frozen=True, rename="camel"):
    output: Output
    stop_reason: str | None = None
    usage: WireUsage | None = None


class Piece(Struct, frozen=True, rename="camel"):
    """Of a stream: what any event may hold."""

    start: Block = Block()
    delta: Block = Block()
    content_block_index: int = 0
    stop_reason: str | None = None
    usage: WireUsage | None = None
    message: str = ""


decode_answer = msgspec.json.Decoder(WireAnswer).decode
decode_event = msgspec.json.Decoder(dict[str, Piece]).decode
decode_text = msgspec.json.Decoder(str).decode


def completion(body: bytes) -> Completion:
    found = decoded(decode_answer, body)
    texts, thoughts = [], []
    details: list[ReasoningDetail] = []
    calls: list[ToolCall] = []
    for block in found.output.message.content:
        if block.text is not None:
            texts.append(block.text)
        elif block.tool_use:
            arguments = bytes(block.tool_use.input).decode()
            calls.append(ToolCall(block.tool_use.tool_use_id, FunctionCall(block.tool_use.name, arguments)))
        elif block.reasoning_content and (text := block.reasoning_content.reasoning_text):
            thoughts.append(text.text)
            details.append(thought(len(details), text.text, text.signature))
        elif block.reasoning_content and block.reasoning_content.redacted_content:
            details.append(hidden(len(details), block.reasoning_content.redacted_content))
    choice = Choice(
        index=0,
        finish_reason=finish_reason(STOP_REASONS, found.stop_reason, bool(calls)),
        native_finish_reason=found.stop_reason,
        message=events.answer(texts, thoughts, details, calls),
    )
    return Completion([choice], found.usage.canonical() if found.usage else None)


class BedrockStream(Reader):
    def __init__(self) -> None:
        self._calls = -1
        self._bare_call: int | None = None
        self._details = -1
        self._reasoning_block: int | None = None

    def feed(self, payload: bytes) -> Iterable[Event]:
        try:
            ((name, piece),) = decode_event(payload).items()
        except (*UNREADABLE, ValueError) as error:
            raise unreadable(error, payload) from None
        match name:
            case "contentBlockDelta":
                return self._goes_on(piece)
            case "contentBlockStart":
                return self._begins(piece)
            case "contentBlockStop":
                return self._ends(piece)
            case "messageStart":
                return [events.delta(Delta(content=""))]
            case "messageStop" if piece.stop_reason:
                return [
                    events.finish(finish_reason(STOP_REASONS, piece.stop_reason, self._calls >= 0), piece.stop_reason)
                ]
            case "metadata" if piece.usage:
                return [UsageReport(piece.usage.canonical())]
            case _ if name.endswith("Exception") or name == "error":
                return [in_stream(piece.message, name, payload)]
            case _:
                return []

    def _begins(self, piece: Piece) -> Iterable[Event]:
        call = piece.start.tool_use
        if call is None:
            return []
        self._calls += 1
        self._bare_call = piece.content_block_index
        return [events.call_begins(self._calls, call.tool_use_id, call.name)]

    def _goes_on(self, piece: Piece) -> Iterable[Event]:
        delta = piece.delta
        if delta.text is not None:
            return [events.text(delta.text)]
        if delta.tool_use is not None:
            arguments = decoded(decode_text, bytes(delta.tool_use.input))
            self._bare_call = None if arguments else self._bare_call
            return [events.call_goes_on(self._calls, arguments)] if arguments else []
        if delta.reasoning_content is None:
            return []
        return [self._thinks(delta.reasoning_content, piece.content_block_index)]

    def _thinks(self, found: ReasoningContent, block: int) -> Event:
        if self._reasoning_block != block:
            self._reasoning_block = block
            self._details += 1
        if found.redacted_content:
            return events.reasoning("", hidden(self._details, found.redacted_content))
        if found.signature:
            return events.reasoning("", signed(self._details, found.signature))
        return events.reasoning(found.text, thought(self._details, found.text))

    def _ends(self, piece: Piece) -> Iterable[Event]:
        """A call without arguments has none in the stream either, which no client could parse."""
        if self._bare_call != piece.content_block_index:
            return []
        self._bare_call = None
        return [events.call_goes_on(self._calls, "{}")]
