"""AWS event streams as they come in: binary frames with checksums (application/vnd.amazon.eventstream).

A frame is: its length and its headers' length (big-endian, 4 bytes each), the CRC32 of these 8 bytes, headers, payload,
the CRC32 of all before. A payload comes out as a JSON object of one member, named after the event or the exception.
"""

import struct
import zlib
from collections.abc import Iterator

import msgspec

from providers.errors import Kind, UpstreamError

PRELUDE = struct.Struct(">III")
LEAST_BYTES = PRELUDE.size + 4
MAX_FRAME_BYTES = 32 * 1024 * 1024
# Bytes that a header's value takes, by its type; types 6 and 7 have their length in front.
FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
SIZED = (6, 7)


class FrameParser:
    """Feeds on bytes, returns the payloads of whole frames. Raises UpstreamError for what is no frame."""

    __slots__ = ("_failed", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._failed: UpstreamError | None = None

    def feed(self, received: bytes) -> list[bytes]:
        if self._failed is not None:
            raise self._failed
        self._rest += received
        payloads: list[bytes] = []
        try:
            while (frame := self._next()) is not None:
                payloads.append(frame)
        except UpstreamError as error:
            # The frames before it are whole, however the bytes were split.
            if not payloads:
                raise
            self._failed = error
        return payloads

    def _next(self) -> bytes | None:
        rest = self._rest
        if len(rest) < PRELUDE.size:
            return None
        size, headers_size, checksum = PRELUDE.unpack_from(rest)
        if zlib.crc32(rest[:8]) != checksum:
            raise broken("the checksum of a frame's head is wrong")
        if not LEAST_BYTES + headers_size <= size <= MAX_FRAME_BYTES:
            raise broken(f"a frame says that it has {size} bytes")
        if len(rest) < size:
            return None
        frame = bytes(rest[:size])
        # CPython moves a bytearray's beginning instead of its bytes.
        del rest[:size]
        return payload_of(frame, headers_size)

    def end(self) -> list[bytes]:
        if self._failed is not None:
            raise self._failed
        if self._rest:
            raise UpstreamError(Kind.RESET, "the provider's answer broke off within a frame")
        return []


def payload_of(frame: bytes, headers_size: int) -> bytes:
    if zlib.crc32(memoryview(frame)[:-4]) != int.from_bytes(frame[-4:], "big"):
        raise broken("the checksum of a frame is wrong")
    begin = PRELUDE.size + headers_size
    names = dict(headers_of(frame[PRELUDE.size : begin]))
    payload = frame[begin:-4] or b"{}"
    match names.get(":message-type"):
        case "event":
            name = names.get(":event-type", "")
        case "exception":
            name = names.get(":exception-type", "")
        case "error":
            name = "error"
            payload = msgspec.json.encode({"code": names.get(":error-code"), "message": names.get(":error-message")})
        case other:
            raise broken(f"a frame of the unknown kind {other!r}")
    return b"{%s:%s}" % (msgspec.json.encode(name), payload)


def headers_of(data: bytes) -> Iterator[tuple[str, str]]:
    """Those whose value is a text."""
    place = 0
    try:
        while place < len(data):
            end = place + 1 + data[place]
            name, kind = data[place + 1 : end].decode(), data[end]
            place = end + 1
            if kind in SIZED:
                size = int.from_bytes(data[place : place + 2], "big")
                place += 2
                if kind == 7:
                    yield name, data[place : place + size].decode()
                place += size
            else:
                place += FIXED[kind]
    except (IndexError, KeyError, UnicodeDecodeError):
        raise broken("a frame's headers cannot be read") from None


def broken(why: str) -> UpstreamError:
    return UpstreamError(Kind.PROTOCOL, f"the provider's event stream could not be read: {why}")
