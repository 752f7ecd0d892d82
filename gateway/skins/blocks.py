"""An answer as blocks, one after another: text, reasoning, tool calls. The canonical form has them side by side.

In a stream a block is closed before the next one begins, as clients of such skins expect. What comes for a later
block while a tool call is not whole yet (some vendors interleave parallel calls) waits until it is.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Literal
from uuid import uuid4

import msgspec
from msgspec import Raw, Struct, UnsetType

from providers import surrogates
from providers.canonical import NULL, Answer, ChunkChoice, Native, ReasoningDetail, ToolCallDelta

Kind = Literal["text", "refusal", "thinking", "summary", "encrypted", "call", "native"]
REASONING = frozenset({"thinking", "summary", "encrypted"})
KINDS: dict[str, Kind] = {
    "reasoning.text": "thinking",
    "reasoning.summary": "summary",
    "reasoning.encrypted": "encrypted",
}

decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Page(Struct, frozen=True):
    url: str
    title: str | None = None
    content: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(Struct, frozen=True):
    """As chat answers have it (§2.6); only pages have a place in other skins."""

    type: str
    url_citation: Page | None = None


decode_annotation = msgspec.json.Decoder(Annotation).decode


class Block:
    __slots__ = ("_pieces", "cites", "detail", "id", "kind", "logprobs", "name", "native", "place", "waiting")

    def __init__(self, kind: Kind, place: int, *, detail: ReasoningDetail | None = None) -> None:
        self.kind = kind
        self.place = place
        # Of a call
        self.id = ""
        self.name = ""
        # Of reasoning: what goes back on the next turn beside the text
        self.detail = detail
        # Of a text: annotations in the words of the skin
        self.cites: list[Any] = []
        self.logprobs: list[Raw] = []
        # As the skin's own family has written it
        self.native: Raw | None = None
        self._pieces: list[str] = []
        self.waiting = ""

    def add(self, text: str) -> None:
        self._pieces.append(text)

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

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
        surrogates.lenient(decode_object, text.encode())
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
        # Whether annotations come in the skin's own words
        self._is_native = False
        # Members of the answer that its end tells
        self._rest: dict[str, Raw] = {}

    @abstractmethod
    def begun(self) -> bytes:
        """Before everything."""

    @abstractmethod
    def opened(self, block: Block) -> bytes: ...

    @abstractmethod
    def grew(self, block: Block, text: str) -> bytes: ...

    @abstractmethod
    def closed(self, block: Block) -> bytes: ...

    @abstractmethod
    def cited(self, block: Block, page: Page) -> bytes:
        """A text rests on a page."""

    @abstractmethod
    def went_on(self, block: Block | None, event: Native) -> bytes: ...

    def content(self, choices: list[ChunkChoice]) -> bytes:
        current = self._current
        if current is not None and current.kind == "text" and not self._next and len(choices) == 1:
            text = only_text(choices[0])
            if text:
                current.add(text)
                return self.grew(current, text)
        parts = [] if self._has_begun else [self._begin()]
        for choice in choices:
            # These skins have one answer only.
            if choice.index == 0:
                self._take(choice, parts)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def native(self, event: Native) -> bytes:
        """Its own family's stream has blocks one after another: what came before is whole."""
        parts = [] if self._has_begun else [self._begin()]
        match event.step:
            case "begins":
                parts.append(self.close_all())
                block = self._new("native")
                block.native = next(iter(event.members.values()))
                self._open(parts)
            case "splits":
                parts.append(self.close_all())
                self._new("text")
                self._open(parts)
            case "goes_on":
                self._is_native = True
                parts.append(self.went_on(self._current, event))
            case "ends" if self._current is not None and self._current.kind == "native":
                self._current.native = next(iter(event.members.values()), self._current.native)
                self._close(parts)
            case "rest":
                self._rest = event.members
        return b"".join(parts)

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

    def _take(self, choice: ChunkChoice, parts: list[bytes]) -> None:
        delta = choice.delta
        if delta.reasoning_details:
            for detail in delta.reasoning_details:
                self._reason(detail, parts)
        elif delta.reasoning:
            self._append("thinking", delta.reasoning, parts)
        if delta.content:
            self._append("text", delta.content, parts)
        if delta.annotations and not self._is_native:
            self._cite(delta.annotations, parts)
        if delta.refusal:
            self._append("refusal", delta.refusal, parts)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._call(call)
            self._advance(parts)

    def _append(self, kind: Kind, text: str, parts: list[bytes]) -> None:
        current = self._current
        if current is not None and current.kind == kind and not self._next:
            current.add(text)
            parts.append(self.grew(current, text))
            return
        block = self._last()
        if block is None or block.kind != kind:
            block = self._new(kind)
        block.waiting += text
        self._advance(parts)

    def _cite(self, annotations: list[Raw], parts: list[bytes]) -> None:
        """Of a text that is still open; one that is over cannot be added to."""
        current = self._current
        if current is not None and current.kind == "text":
            parts += [self.cited(current, page) for page in pages_of(annotations)]

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
            block.add(text)
            parts.append(self.grew(block, text))

    def _close(self, parts: list[bytes]) -> None:
        if self._current is not None:
            parts.append(self.closed(self._current))
            self._current = None


def only_text(choice: ChunkChoice) -> str | None:
    """Of most pieces of most answers, which need no more than this."""
    delta = choice.delta
    if (
        choice.index
        or delta.reasoning_details
        or delta.reasoning
        or delta.refusal
        or delta.tool_calls
        or delta.annotations
        or choice.logprobs != NULL
    ):
        return None
    return delta.content or None


def pages_of(annotations: list[Raw] | UnsetType) -> list[Page]:
    found = []
    for raw in annotations or ():
        try:
            one = decode_annotation(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if one.url_citation is not None:
            found.append(one.url_citation)
    return found


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
    block.add(text)
    blocks.append(block)
    return block


def given(value: object) -> str | None:
    """Null and what is not there are the same to a skin that writes null."""
    return value if isinstance(value, str) else None
