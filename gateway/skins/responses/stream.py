"""A Responses stream, event by event, numbered."""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.skins.blocks import Block, BlockWriter, Page
from gateway.skins.responses import answer
from gateway.skins.responses.answer import citation, encode, item_id, joins, part, rendered, tokens_of
from providers.canonical import NULL, ChunkChoice, Native
from providers.snapshot import Endpoint

decode_text = msgspec.json.Decoder(str).decode
DONE = b"data: [DONE]\n\n"
# Of a block: its deltas' event, and the member that counts it within its item.
DELTAS = {
    "text": (b"response.output_text", b"content_index"),
    "refusal": (b"response.refusal", b"content_index"),
    "thinking": (b"response.reasoning_text", b"content_index"),
    "summary": (b"response.reasoning_summary_text", b"summary_index"),
}


class ResponseWriter(BlockWriter):
    def __init__(self, generation: Generation, model: str) -> None:
        super().__init__()
        self._generation = generation
        self._response = answer.opening(generation, model)
        self._number = 0
        # The item that is open: its blocks, its id, and its deltas up to their number and their text
        self._group: list[Block] = []
        self._id = ""
        self._head = self._tail = self._end = b""
        # Of the tokens of the piece that is being written
        self._logprobs: list[Raw] = []
        self._output: list[Any] = []

    def begun(self) -> bytes:
        created = self._event("response.created", response=self._response)
        return created + self._event("response.in_progress", response=self._response)

    def opened(self, block: Block) -> bytes:
        parts = []
        if block.kind == "native":
            parts = [self._close_item(), self._event("response.output_item.added", **self._at(), item=block.native)]
            return b"".join(parts)
        if not self._group or not joins(self._group, block):
            parts.append(self._close_item())
            self._id = item_id(self._generation, block)
            item = rendered([block], self._id, "in_progress")
            # Content is told by events of its own.
            item |= {name: [] for name in ("content", "summary") if name in item}
            parts.append(self._event("response.output_item.added", output_index=len(self._output), item=item))
        self._group.append(block)
        self._prepare(block)
        if block.kind == "summary":
            parts.append(self._event("response.reasoning_summary_part.added", **self._place(block), part=part(block)))
        elif block.kind not in ("call", "encrypted"):
            parts.append(self._event("response.content_part.added", **self._place(block), part=part(block)))
        return b"".join(parts)

    def _take(self, choice: ChunkChoice, parts: list[bytes]) -> None:
        if choice.logprobs != NULL:
            self._logprobs = tokens_of(choice.logprobs)
        super()._take(choice, parts)

    def grew(self, block: Block, text: str) -> bytes:
        number = self._number
        self._number = number + 1
        end = self._told_tokens(block) if self._logprobs and block.kind == "text" else self._end
        return b"%b%d,%b%b%b" % (self._head, number, self._tail, encode(text), end)

    def _told_tokens(self, block: Block) -> bytes:
        tokens, self._logprobs = self._logprobs, []
        block.logprobs += tokens
        return b',"logprobs":%b}\n\n' % encode(tokens)

    def closed(self, block: Block) -> bytes:
        if block.kind == "call":
            more = {"item_id": self._id, "output_index": len(self._output), "name": block.name, "arguments": block.text}
            return self._event("response.function_call_arguments.done", **more)
        if block.kind == "encrypted":
            return b""
        if block.kind == "native":
            item = {"item": block.native, **self._at()}
            self._output.append(block.native)
            return self._event("response.output_item.done", **item)
        place = self._place(block)
        name = DELTAS[block.kind][0].decode()
        what = {"refusal": block.text} if block.kind == "refusal" else {"text": block.text}
        logprobs: dict[str, Any] = {"logprobs": block.logprobs} if block.kind == "text" else {}
        done = "response.reasoning_summary_part.done" if block.kind == "summary" else "response.content_part.done"
        return self._event(f"{name}.done", **place, **what, **logprobs) + self._event(done, **place, part=part(block))

    def cited(self, block: Block, page: Page) -> bytes:
        return self._annotated(block, citation(page))

    def _annotated(self, block: Block, annotation: Any) -> bytes:
        block.cites.append(annotation)
        more = {"annotation_index": len(block.cites) - 1, "annotation": annotation}
        return self._event("response.output_text.annotation.added", **self._place(block), **more)

    def went_on(self, block: Block | None, native: Native) -> bytes:
        if block is None:
            return b""
        if block.kind == "text":
            annotation = native.members.get("annotation")
            return b"" if annotation is None else self._annotated(block, annotation)
        name = decode_text(native.members["type"])
        members = {name: raw for name, raw in native.members.items() if name not in ("type", "sequence_number")}
        return self._event(name, **members | self._at())

    def ending(self, generation: Generation, endpoint: Endpoint, charge: int) -> bytes:
        before = self.close_all() + self._close_item()
        self._response |= answer.closing(generation, endpoint, charge)
        return before + self._farewell()

    def error(self, error: ApiError) -> bytes:
        before = b"" if self._has_begun else self._begin()
        self._response |= answer.failing(self._generation, error)
        return before + self._farewell()

    def _farewell(self) -> bytes:
        self._response["output"] = self._output
        return self._event(f"response.{self._response['status']}", response=self._response) + DONE

    def _close_item(self) -> bytes:
        if not self._group:
            return b""
        item = rendered(self._group, self._id, "completed")
        done = self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._group = []
        return done

    def _at(self) -> dict[str, int]:
        return {"output_index": len(self._output)}

    def _place(self, block: Block) -> dict[str, Any]:
        name = DELTAS[block.kind][1].decode()
        return {"item_id": self._id, "output_index": len(self._output), name: self._index(block)}

    def _index(self, block: Block) -> int:
        if block.kind in ("text", "refusal"):
            return len(self._group) - 1
        return sum(one.kind == block.kind for one in self._group) - 1

    def _prepare(self, block: Block) -> None:
        """What all deltas of a block have in common is written once."""
        output, id = len(self._output), encode(self._id)
        self._end = b',"logprobs":[]}\n\n' if block.kind == "text" else b"}\n\n"
        if block.kind == "call":
            name, place = b"response.function_call_arguments", b""
        elif block.kind == "encrypted":
            return
        else:
            name, counter = DELTAS[block.kind]
            place = b'"%b":%d,' % (counter, self._index(block))
        self._head = b'event: %b.delta\ndata: {"type":"%b.delta","sequence_number":' % (name, name)
        self._tail = b'"item_id":%b,"output_index":%d,%b"delta":' % (id, output, place)

    def _event(self, name: str, /, **members: Any) -> bytes:
        self._number += 1
        body = encode({"type": name, "sequence_number": self._number - 1, **members})
        return b"event: %b\ndata: %b\n\n" % (name.encode(), body)
