"""AWS event-stream frames from readable lines: the event's name and its JSON, "!" before an exception's name."""

import struct
import zlib


def encode(lines: bytes) -> bytes:
    return b"".join(frame(*line.split(b" ", 1)) for line in lines.splitlines() if line.strip())


def frame(name: bytes, body: bytes) -> bytes:
    kind = b"exception" if name.startswith(b"!") else b"event"
    headers = header(b":" + kind + b"-type", name.removeprefix(b"!"))
    headers += header(b":content-type", b"application/json") + header(b":message-type", kind)
    prelude = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return data + struct.pack(">I", zlib.crc32(data))


def header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
