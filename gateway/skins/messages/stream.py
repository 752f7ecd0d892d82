"""A Messages stream, event by event."""

from typing import Any

from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.routing import told
from gateway.skins.blocks import Block, BlockWriter, Page
from gateway.skins.messages.answer import citation, encode, envelope, opening, stop_reason, usage
from gateway.skins.reasoning import sealed, signature
from providers.canonical import Native
from providers.snapshot import Endpoint

DELTAS = {
    "text": b'{"type":"text_delta","text":',
    "refusal": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "summary": b'{"type":"thinking_delta","thinking":',
    "call": b'{"type":"input_json_delta","partial_json":',
}
# The count is known at the end: message_delta has it.
NO_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": None,
    "server_tool_use": None,
    "service_tier": "standard",
    "inference_geo": None,
}


class MessageWriter(BlockWriter):
    def __init__(self, generation: Generation, model: str, provider_name: str) -> None:
        super().__init__()
        self._generation = generation
        self._message = opening(generation.public_id, model, provider_name)

    def begun(self) -> bytes:
        return event("message_start", {"message": {**self._message, "usage": NO_USAGE}})

    def opened(self, block: Block) -> bytes:
        match block.kind:
            case "native":
                return event("content_block_start", {"index": block.place, "content_block": block.native})
            case "thinking" | "summary":
                content: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
            case "encrypted":
                content = {"type": "redacted_thinking", "data": sealed(block)}
            case "call":
                content = {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
            case _:
                content = {"type": "text", "text": "", "citations": None}
        return event("content_block_start", {"index": block.place, "content_block": content})

    def grew(self, block: Block, text: str) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b%b}}\n\n' % (
            block.place,
            DELTAS[block.kind],
            encode(text),
        )

    def closed(self, block: Block) -> bytes:
        signed = signature(block) if block.kind in ("thinking", "summary") else ""
        delta = {"type": "signature_delta", "signature": signed}
        last = event("content_block_delta", {"index": block.place, "delta": delta}) if signed else b""
        return last + event("content_block_stop", {"index": block.place})

    def cited(self, block: Block, page: Page) -> bytes:
        delta = {"type": "citations_delta", "citation": citation(page)}
        return event("content_block_delta", {"index": block.place, "delta": delta})

    def went_on(self, block: Block | None, native: Native) -> bytes:
        return event("content_block_delta", {"index": block.place, **native.members}) if block else b""

    def ending(self, generation: Generation, endpoint: Endpoint, charge: int) -> bytes:
        of_delta = {name: self._rest.get(name) for name in ("stop_sequence", "stop_details", "container")}
        edits = {name: self._rest[name] for name in ("context_management",) if name in self._rest}
        delta = {"stop_reason": stop_reason(generation), **of_delta}
        counted = event("message_delta", {"delta": delta, "usage": usage(generation, endpoint, charge), **edits})
        return self.close_all() + counted + event("message_stop", told.beside(generation))

    def error(self, error: ApiError) -> bytes:
        routing = told.beside(self._generation)
        return event("error", envelope(error, self._generation.public_id, routing))


def event(name: str, members: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode({"type": name, **members}))
