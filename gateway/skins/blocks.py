"""An answer as blocks, one after another: text, reasoning, tool calls. The canonical form has them side by side.

In a stream a block is closed before the next one begins, as clients of such skins expect. What comes for a later
block while a tool call is not whole yet (some vendors interleave parallel calls) waits until it is.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import Literal
from uuid import uuid4

import msgspec
from msgspec import Raw

from providers.canonical import Answer, ChunkChoice, Delta, ReasoningDetail, ToolCallDelta

Kind = Literal["text", "refusal", "thinking", "summary", "encrypted", "call"]
REASONING = frozenset({"thinking", "summary", "encrypted"})
KINDS: dict[str, Kind] = {
    "reasoning.text": "thinking",
    "reasoning.summary": "summary",
    "reasoning.encrypted": "encrypted",
}

decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Block:
    __slots__ = ("detail", "id", "kind", "name", "place", "text", "waiting")

    def __init__(self, kind: Kind, place: int, *, detail: ReasoningDetail | None = None) -> None:
        self.kind = kind
        self.place = place
        # Of a call
        self.id = ""
        self.name = ""
        # Of reasoning: what goes back on the next turn beside the text
        self.detail = detail
        self.text = ""
        self.waiting = ""

    @property
    def is_whole(self) -> bool:
        """Nothing more can come for it once another block has begun."""
        return self.kind != "call" or is_object(self.text)

    def learn(self, detail: ReasoningDetail) -> None:
        """Signature, id and format come with any piece, often the last."""
        if self.detail is None:
            self.detail = detail
            return
        for name in ("signature", "id", "format"):
            if value := getattr(detail, name):
                setattr(self.detail, name, value)


def is_object(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        decode_object(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class BlockWriter(ABC):
    """The order of blocks in a stream; skins say how each step is written."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._current: Block | None = None
        self._next: deque[Block] = deque()
        self._calls: dict[int, Block] = {}
        self._has_begun = False

    @abstractmethod
    def begun(self) -> bytes:
        """Before everything."""

    @abstractmethod
    def opened(self, block: Block) -> bytes: ...

    @abstractmethod
    def grew(self, block: Block, text: str) -> bytes: ...

    @abstractmethod
    def closed(self, block: Block) -> bytes: ...

    def content(self, choices: list[ChunkChoice]) -> bytes:
        parts = [] if self._has_begun else [self._begin()]
        for choice in choices:
            # These skins have one answer only.
            if choice.index == 0:
                self._take(choice.delta, parts)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close_all(self) -> bytes:
        parts = [] if self._has_begun else [self._begin()]
        while self._current is not None or self._next:
            if self._current is not None:
                self._grow(self._current, parts)
                self._close(parts)
            if self._next:
                self._open(parts)
        return b"".join(parts)

    def _begin(self) -> bytes:
        self._has_begun = True
        return self.begun()

    def _take(self, delta: Delta, parts: list[bytes]) -> None:
        if delta.reasoning_details:
            for detail in delta.reasoning_details:
                self._reason(detail, parts)
        elif delta.reasoning:
            self._append("thinking", delta.reasoning, parts)
        if delta.content:
            self._append("text", delta.content, parts)
        if delta.refusal:
            self._append("refusal", delta.refusal, parts)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._call(call)
            self._advance(parts)

    def _append(self, kind: Kind, text: str, parts: list[bytes]) -> None:
        current = self._current
        if current is not None and current.kind == kind and not self._next:
            current.text += text
            parts.append(self.grew(current, text))
            return
        block = self._last()
        if block is None or block.kind != kind:
            block = self._new(kind)
        block.waiting += text
        self._advance(parts)

    def _reason(self, detail: ReasoningDetail, parts: list[bytes]) -> None:
        kind = KINDS.get(detail.type)
        if kind is None:
            return
        block = self._last()
        if block is None or block.kind != kind or kind == "encrypted" or is_another(block.detail, detail):
            block = self._new(kind, msgspec.structs.replace(detail))
        else:
            block.learn(detail)
        block.waiting += (detail.summary if kind == "summary" else detail.text) or ""
        self._advance(parts)

    def _call(self, call: ToolCallDelta) -> None:
        index = call.index or 0
        block = self._calls.get(index)
        if block is None:
            block = self._calls[index] = self._new("call")
            block.id = call.id or f"call_{uuid4().hex[:24]}"
        block.name = block.name or call.function.name or ""
        block.waiting += call.function.arguments or ""

    def _last(self) -> Block | None:
        return self._next[-1] if self._next else self._current

    def _new(self, kind: Kind, detail: ReasoningDetail | None = None) -> Block:
        block = Block(kind, len(self.blocks), detail=detail)
        self.blocks.append(block)
        self._next.append(block)
        return block

    def _advance(self, parts: list[bytes]) -> None:
        """Writes as far as the order allows."""
        while True:
            if self._current is not None:
                self._grow(self._current, parts)
                if not self._next or not self._current.is_whole:
                    return
                self._close(parts)
            if not self._next or (self._next[0].kind == "call" and not self._next[0].name):
                return
            self._open(parts)

    def _open(self, parts: list[bytes]) -> None:
        self._current = self._next.popleft()
        parts.append(self.opened(self._current))

    def _grow(self, block: Block, parts: list[bytes]) -> None:
        if block.waiting:
            text, block.waiting = block.waiting, ""
            block.text += text
            parts.append(self.grew(block, text))

    def _close(self, parts: list[bytes]) -> None:
        if self._current is not None:
            parts.append(self.closed(self._current))
            self._current = None


def is_another(known: ReasoningDetail | None, detail: ReasoningDetail) -> bool:
    """Pieces of one detail share its index, and its id where they have one."""
    if known is None:
        return False
    if isinstance(known.index, int) and isinstance(detail.index, int) and known.index != detail.index:
        return True
    return bool(known.id and detail.id and known.id != detail.id)


def blocks_of(answer: Answer) -> list[Block]:
    """Of a whole answer."""
    blocks: list[Block] = []
    if answer.reasoning_details:
        for detail in answer.reasoning_details:
            if kind := KINDS.get(detail.type):
                block = added(blocks, kind, (detail.summary if kind == "summary" else detail.text) or "")
                block.detail = detail
    elif answer.reasoning:
        added(blocks, "thinking", answer.reasoning)
    if answer.content:
        added(blocks, "text", answer.content)
    if answer.refusal:
        added(blocks, "refusal", answer.refusal)
    for call in answer.tool_calls or ():
        block = added(blocks, "call", call.function.arguments)
        block.id, block.name = call.id, call.function.name
    return blocks


def added(blocks: list[Block], kind: Kind, text: str) -> Block:
    block = Block(kind, len(blocks))
    block.text = text
    blocks.append(block)
    return block


def given(value: object) -> str | None:
    """Null and what is not there are the same to a skin that writes null."""
    return value if isinstance(value, str) else None
