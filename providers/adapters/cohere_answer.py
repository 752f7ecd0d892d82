"""Answers of the wire `cohere`, whole and streamed, read as canonical ones."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from providers.adapters import events
from providers.adapters.base import Reader, finish_reason
from providers.adapters.errors import decoded, in_stream
from providers.canonical import (
    Choice,
    Completion,
    Delta,
    Event,
    FinishReason,
    FunctionCall,
    ToolCall,
    Usage,
    UsageReport,
)

FINISH_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "ERROR_TOXIC": "content_filter",
    "TIMEOUT": "error",
}


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


decode_answer = msgspec.json.Decoder(WireAnswer).decode
decode_event = msgspec.json.Decoder(WireEvent).decode


def completion(body: bytes) -> Completion:
    found = decoded(decode_answer, body)
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


def several(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found] if found is not None else []


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
