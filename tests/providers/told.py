"""What a client makes of a wire's answer, whole or streamed: the same for all wires."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from providers.adapters import WIRES
from providers.canonical import Completion, Content, Event, Failure, Usage, UsageReport
from providers.upstream import DONE, FRAMINGS
from tests.providers import frames

PAYLOADS = Path(__file__).parent / "payloads"


def payload(wire: str, name: str) -> bytes:
    """Of a stream: as it is on the wire. Binary frames are kept as readable lines."""
    data = (PAYLOADS / wire / name).read_bytes()
    return frames.encode(data) if name.endswith(".frames") else data


class Told:
    def __init__(self) -> None:
        self.content = self.reasoning = ""
        self.details: list[dict[str, Any]] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.images: list[Any] = []
        self.finish: str | None = None
        self.native: str | None = None
        self.usage: Usage | None = None
        self.failure: Failure | None = None
        self.upstream_id: str | None = None

    def hear(self, event: Event) -> None:
        match event:
            case Content():
                self.upstream_id = event.upstream_id or self.upstream_id
                for choice in msgspec.json.decode(msgspec.json.encode(event.choices)):
                    self._hear(choice)
            case UsageReport():
                self.usage = event.usage
            case Failure():
                self.failure = event

    def _hear(self, choice: dict[str, Any]) -> None:
        delta = choice["delta"]
        assert delta["role"] == "assistant"
        assert None not in [delta.get(name, "") for name in ("reasoning", "refusal", "tool_calls", "reasoning_details")]
        assert "reasoning_content" not in delta
        assert choice["finish_reason"] != ""
        self.content += delta.get("content") or ""
        self.reasoning += delta.get("reasoning") or ""
        self.images += delta.get("images", [])
        self.finish = choice["finish_reason"] or self.finish
        self.native = choice["native_finish_reason"] or self.native
        for detail in delta.get("reasoning_details", []):
            self._reason(detail)
        for call in delta.get("tool_calls", []):
            assert None not in [*call.values(), *call["function"].values()]
            if call["index"] not in self.calls:
                assert call["id"]
                assert call["function"]["name"]
            known = self.calls.setdefault(call["index"], {"function": {"name": "", "arguments": ""}})
            known |= {name: value for name, value in call.items() if name in ("id", "type")}
            for name, piece in call["function"].items():
                known["function"][name] += piece

    def _reason(self, detail: dict[str, Any]) -> None:
        """Fragments share an index."""
        if self.details and self.details[-1]["index"] == detail["index"]:
            last = self.details[-1]
            assert last["type"] == detail["type"]
            pieces = {name: last.get(name, "") + detail[name] for name in ("text", "summary") if name in detail}
            last |= detail | pieces
        else:
            assert detail["index"] == len(self.details)
            self.details.append(detail)


def of_stream(wire: str, pieces: Iterable[bytes]) -> Told:
    """As the network brings it."""
    adapter = WIRES[wire]
    parser, reader, told = FRAMINGS[adapter.framing](), adapter.stream(), Told()
    for piece in [*pieces, b""]:
        for data in parser.feed(piece) if piece else parser.end():
            for event in reader.done() if data == DONE else reader.feed(data):
                told.hear(event)
    return told


def of_whole(completion: Completion) -> Told:
    told = Told()
    choice = completion.choices[0]
    message = msgspec.json.decode(msgspec.json.encode(choice.message))
    told.content = message.get("content") or ""
    told.reasoning = message.get("reasoning") or ""
    told.details = message.get("reasoning_details", [])
    told.calls = dict(enumerate(message.get("tool_calls", [])))
    told.finish, told.native = choice.finish_reason, choice.native_finish_reason
    told.usage, told.upstream_id = completion.usage, completion.upstream_id
    return told
