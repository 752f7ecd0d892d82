"""The parser of incoming events: whatever the network does to the bytes, the payloads are the same."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import sse
from providers.errors import UpstreamError
from providers.sse import EventParser

pytestmark = pytest.mark.thorough

# A piece of a payload: no line ends, which separate the data lines.
lines = st.text(st.characters(codec="utf-8", exclude_characters="\r\n")).map(str.encode)
payloads = st.lists(lines, min_size=1, max_size=3)
noise = st.sampled_from([b": OPENROUTER PROCESSING", b":", b"event: message", b"id: 7", b"retry: 5", b"nothing"])
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


def parsed(*parts: bytes) -> list[bytes]:
    parser = EventParser()
    found = [payload for part in parts for payload in parser.feed(part)]
    return found + parser.end()


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Payloads, and one way of writing them as a stream."""
    expected, wire = [], b""
    for payload in draw(st.lists(payloads, max_size=5)):
        end = draw(ends)
        for line in payload:
            wire += b"".join(found + end for found in draw(st.lists(noise, max_size=2)))
            prefix = draw(st.sampled_from([b"data:", b"data: "])) if not line.startswith(b" ") else b"data: "
            wire += prefix + line + end
        wire += end * draw(st.integers(1, 3))
        expected.append(b"\n".join(payload))
    return expected, wire


def split(wire: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    return [wire[first:last] for first, last in pairwise(borders)]


@given(streams(), st.lists(st.integers(0)))
def test_any_split_gives_the_same_payloads(stream: tuple[list[bytes], bytes], places: list[int]) -> None:
    expected, wire = stream
    assert parsed(*split(wire, places)) == expected


@given(streams())
def test_byte_by_byte_gives_the_same_payloads(stream: tuple[list[bytes], bytes]) -> None:
    expected, wire = stream
    assert parsed(*(wire[place : place + 1] for place in range(len(wire)))) == expected


@given(st.lists(st.binary()))
def test_any_bytes_are_taken(parts: list[bytes]) -> None:
    parsed(*parts)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: first\ndata: second\n\n", [b"first\nsecond"]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b"data:none\n\n", [b"none"]),
        (b": comment\n\n: another\n\ndata: x\n\n", [b"x"]),
        (b"event: error\ndata: x\nid: 1\n\n", [b"x"]),
        (b"data: {}\n: comment in the middle\ndata: []\n\n", [b"{}\n[]"]),
        (b"\n\n\ndata: x\n\n\n\n", [b"x"]),
        (b"data: without its end", [b"without its end"]),
        (b"data: without its end\r\n", [b"without its end"]),
        (b"database: x\n\ndat\n\n", []),
        (b"", []),
    ],
)
def test_events(wire: bytes, expected: list[bytes]) -> None:
    assert parsed(wire) == expected


def test_an_event_is_there_as_soon_as_it_is_complete() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\n") == []
    assert parser.feed(b"\n") == [b"x"]
    assert parser.feed(b"data: y\r\n\r\n") == [b"y"]


def test_an_event_without_end_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    parser = EventParser()
    parser.feed(b"data: " + b"x" * 900)
    with pytest.raises(UpstreamError, match="without end"):
        parser.feed(b"x" * 200)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [0, 1, 50, 4096])
def test_every_boundary_of_a_stream(end: bytes, size: int) -> None:
    payload = b'{"content":"' + "grüße ".encode() * (size // 7) + b'"}'
    first = [b": comment", b"event: message", b"data: " + payload, b""]
    wire = end.join([*first, b"data:" + payload, b"id: 1", b"", b"data: [DONE]", b"", b""])
    for place in range(len(wire) + 1):
        assert parsed(wire[:place], wire[place:]) == [payload, payload, b"[DONE]"]


@pytest.mark.parametrize("most", [300, 70_000, 5_000_000])
def test_an_event_of_megabytes_in_any_pieces(most: int) -> None:
    chance = random.Random(most)
    payload = b"x" * 10_000_000
    wire = b"data: before\n\ndata: " + payload + b"\r\n\r\ndata: after\n\n"
    parts = []
    place = 0
    while place < len(wire):
        size = chance.randrange(1, most)
        parts.append(wire[place : place + size])
        place += size
    assert parsed(*parts) == [b"before", payload, b"after"]
