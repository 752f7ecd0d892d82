"""`bench/skins`: what skins take of CPU for a streamed chunk and a whole answer, in microseconds; see bench/README.md.

Everything between a provider's bytes and the client's, without sockets and till, which cost all skins the same.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

from msgspec import structs

from accounts.callers import Caller
from bench.planning import endpoint as an_endpoint
from gateway.generation import Generation, Origin
from gateway.relay.stream import AnswerStream
from gateway.routing.bounds import size
from gateway.skins.base import Skin
from gateway.skins.chat import Chat
from gateway.skins.completions import Completions
from gateway.skins.messages import Messages
from gateway.skins.responses import Responses
from providers.adapters import WIRES
from providers.http import Body
from providers.quirks import PLAIN
from providers.snapshot import Endpoint
from providers.upstream import EventStream

CHUNKS = 400
WORD = " turnpike"
RATIO, LIMIT_US = 1.3, 80.0
SKINS: dict[str, Skin] = {
    "chat": Chat(),
    "completions": Completions(),
    "messages": Messages(),
    "responses": Responses(),
}
# Nothing has to be translated.
SAME = {"chat": "openai", "completions": "openai", "messages": "anthropic", "responses": "responses"}
USER = [{"role": "user", "content": "What is a turnpike?"}]
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": USER},
    "completions": {"prompt": "What is a turnpike?"},
    "messages": {"messages": USER, "max_tokens": 1000},
    "responses": {"input": "What is a turnpike?"},
}
# By wire: what begins a stream, a piece of its text, and what ends it; then a whole answer.
Events = list[dict[str, Any]]
Dialect = tuple[Events, dict[str, Any], Events, dict[str, Any]]


def dialects() -> dict[str, Dialect]:
    return {"openai": of_openai(), "anthropic": of_anthropic(), "responses": of_responses(), "gemini": of_gemini()}


def of_openai() -> Dialect:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    usage = {"prompt_tokens": 12, "completion_tokens": CHUNKS, "total_tokens": 12 + CHUNKS}
    message = {"role": "assistant", "content": WORD * 40}
    plain = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
    last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage}
    return [chunk({"role": "assistant", "content": ""})], chunk({"content": WORD}), [chunk({}, "stop"), last], plain


def of_anthropic() -> Dialect:
    usage = {"input_tokens": 12, "output_tokens": CHUNKS}
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "end_turn",
    }
    begins: Events = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    piece: dict[str, Any] = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}}
    ends: Events = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return begins, piece, ends, {**message, "content": [{"type": "text", "text": WORD * 40}], "usage": usage}


def of_responses() -> Dialect:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": WORD * 40, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    usage = {"input_tokens": 12, "output_tokens": CHUNKS, "total_tokens": 12 + CHUNKS}
    whole = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    begins: Events = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
    ]
    piece = {"type": "response.output_text.delta", **place, "sequence_number": 9, "logprobs": [], "delta": WORD}
    ends: Events = [
        {"type": "response.output_text.done", **place, "text": WORD * 40},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return begins, piece, ends, whole


def of_gemini() -> Dialect:
    usage = {"promptTokenCount": 12, "candidatesTokenCount": CHUNKS, "totalTokenCount": 12 + CHUNKS}

    def answer(text: str, **more: Any) -> dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1"}

    last = answer("", finishReason="STOP")
    return [], answer(WORD), [last], answer(WORD * 40, finishReason="STOP")


class Received:
    """A piece a read, as providers send."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        return next(self._pieces, b"")


class Way:
    """One skin before one wire."""

    def __init__(self, skin: str, wire: str) -> None:
        begins, piece, ends, whole = dialects()[wire]
        self.skin, self.wire = SKINS[skin], wire
        told = [*begins, *[piece] * CHUNKS, *ends]
        self.pieces = [b"data: %b\n\n" % json.dumps(one, separators=(",", ":")).encode() for one in told]
        if wire == "openai":
            self.pieces.append(b"data: [DONE]\n\n")
        self.whole = json.dumps(whole, separators=(",", ":")).encode()
        self.body = json.dumps({"model": "acme/m", "max_tokens": 1000, **BODIES[skin]}).encode()
        self.streamed_body = json.dumps({"model": "acme/m", "stream": True, **BODIES[skin]}).encode()
        self.endpoint = of_wire(wire)

    def generation(self, body: bytes) -> Generation:
        request = self.skin.parse(body)
        generation = Generation(CALLER, request, ORIGIN, size(request))
        generation.answered(self.endpoint, time.monotonic())
        return generation

    def request(self) -> None:
        """Asked and answered, not streamed."""
        generation, adapter = self.generation(self.body), WIRES[self.wire]
        adapter.request(generation.request, self.endpoint, max_tokens=1000)
        completion = adapter.completion(self.whole)
        generation.took(completion)
        assert len(self.skin.completion(generation, self.endpoint, completion, 1)) > len(WORD) * 40

    def stream(self) -> None:
        with suppress(StopIteration):
            # It never waits, so it needs no loop.
            self._stream().send(None)
            raise AssertionError("it waits")

    async def _stream(self) -> None:
        relay = AnswerStream.__new__(AnswerStream)
        relay._generation = generation = self.generation(self.streamed_body)
        stream = EventStream(cast(Body, Received(self.pieces)), WIRES[self.wire])
        writer = self.skin.writer(generation, "acme/m", "Acme")
        written = 0
        while not stream.is_over:
            written += len(relay._take(await stream.next(), writer))
        assert written + len(writer.ending(generation, self.endpoint, 1)) > CHUNKS * len(WORD)
        assert generation.finish_reason == "stop"


ORIGIN = Origin()
CALLER = Caller(uuid4(), "", uuid4(), None, False, (), (), (), None, None, None)


def of_wire(wire: str) -> Endpoint:
    found = an_endpoint(0)
    return structs.replace(found, provider=structs.replace(found.provider, wire=wire, quirks=PLAIN))


def main() -> int:
    options = arguments()
    wires = dialects()
    ways = {(skin, wire): Way(skin, wire) for skin in SKINS for wire in wires}
    chunks = measured({cell: (way.stream, 1, CHUNKS) for cell, way in ways.items()}, options.rounds)
    requests = measured({cell: (way.request, 50, 50) for cell, way in ways.items()}, options.rounds)
    for what, found in (("a chunk", chunks), ("a whole answer", requests)):
        print(f"CPU µs for {what:<14}" + "".join(f"{wire:>20}" for wire in wires))
        base = found["chat", "openai"]
        for skin in SKINS:
            cells = (f"{found[skin, wire]:.2f} ({found[skin, wire] / base:.2f} ×)" for wire in wires)
            print(f"{skin:<26}" + "".join(f"{cell:>20}" for cell in cells))
    if options.json:
        print(json.dumps({f"{skin} {wire}": us for (skin, wire), us in chunks.items()}))
    return 0 if passes(chunks) else 1


def passes(chunks: dict[tuple[str, str], float]) -> bool:
    base = chunks["chat", "openai"]
    return all(chunks[cell] <= RATIO * base for cell in SAME.items()) and max(chunks.values()) <= LIMIT_US


def measured(
    calls: dict[tuple[str, str], tuple[Callable[[], None], int, int]], rounds: int
) -> dict[tuple[str, str], float]:
    """The least of all rounds, in each of which all have their turn: a noisy moment hits them alike, and is forgotten.

    A call is made so many times in a row, which are so many of what is counted.
    """
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for cell, (call, times, count) in calls.items():
            began = time.process_time_ns()
            for _ in range(times):
                call()
            best[cell] = min(best[cell], (time.process_time_ns() - began) / count / 1000)
    return best


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()
