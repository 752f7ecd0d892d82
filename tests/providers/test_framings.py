"""Framings besides SSE: any split gives the same payloads, broken ones are the provider's fault."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from providers.errors import Kind, UpstreamError
from providers.eventstream import FrameParser
from providers.ndjson import LineParser
from tests.providers.frames import frame
from tests.providers.told import payload

TWO = frame(b"a", b'{"x":1}') + frame(b"!b", b'{"message":"no"}')


def fed(parser: Any, data: bytes, cut: Callable[[], int]) -> list[bytes]:
    found: list[bytes] = []
    while data:
        size = cut()
        found += parser.feed(data[:size])
        data = data[size:]
    found += parser.end()
    return found


def test_our_frames_are_those_that_botocore_reads() -> None:
    data = payload("bedrock", "reasoning.frames")
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    messages = list(theirs)
    ours = FrameParser().feed(data)
    assert len(messages) == len(ours) > 5
    for message, found in zip(messages, ours, strict=True):
        assert found == b'{"%s":%s}' % (message.headers[":event-type"].encode(), message.payload)


def test_any_split_of_frames_reads_the_same() -> None:
    chance = random.Random(1)
    data = payload("bedrock", "tools.frames") + TWO
    whole = fed(FrameParser(), data, lambda: len(data))
    assert whole[-2:] == [b'{"a":{"x":1}}', b'{"b":{"message":"no"}}']
    assert fed(FrameParser(), data, lambda: 1) == whole
    for _ in range(30):
        assert fed(FrameParser(), data, lambda: chance.randrange(1, 300)) == whole


def test_a_large_frame_in_small_pieces_takes_linear_time() -> None:
    data = frame(b"a", b'{"x":"%s"}' % (b"y" * 10_000_000))
    (found,) = fed(FrameParser(), data, lambda: 1000)
    assert len(found) > 10_000_000


@pytest.mark.parametrize("place", [0, 5, 9, 15, 40, len(TWO) - 3])
def test_a_wrong_bit_is_noticed(place: int) -> None:
    broken = bytearray(TWO)
    broken[place] ^= 1
    with pytest.raises(UpstreamError) as caught:
        fed(FrameParser(), bytes(broken), lambda: len(broken))
    assert caught.value.kind is Kind.PROTOCOL


def test_frames_before_a_broken_one_are_told_whatever_the_split() -> None:
    data = frame(b"a", b"{}") + b"\0" * 20
    parser = FrameParser()
    assert parser.feed(data) == [b'{"a":{}}']
    with pytest.raises(UpstreamError):
        parser.end()


def test_an_end_within_a_frame_is_a_break() -> None:
    parser = FrameParser()
    parser.feed(TWO[:-1])
    with pytest.raises(UpstreamError) as caught:
        parser.end()
    assert caught.value.kind is Kind.RESET


def test_lines() -> None:
    data = b'{"a":1}\r\n\n{"b":2}\n{"c":3}'
    expected = [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    for size in range(1, len(data) + 1):
        assert fed(LineParser(), data, lambda: size) == expected  # noqa: B023
