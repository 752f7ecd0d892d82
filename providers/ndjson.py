"""Newline-delimited JSON as it comes in: a line is a payload."""

from providers.errors import Kind, UpstreamError

MAX_LINE_BYTES = 32 * 1024 * 1024


class LineParser:
    """Feeds on bytes, returns the lines that are whole and not empty."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, received: bytes) -> list[bytes]:
        head, newline, rest = received.rpartition(b"\n")
        if not newline:
            self._keep(rest)
            return []
        whole = b"".join([*self._parts, head])
        self._parts, self._size = [], 0
        self._keep(rest)
        return [line for line in whole.splitlines() if line.strip()]

    def end(self) -> list[bytes]:
        """The last line, if its newline is missing."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return [rest] if rest.strip() else []

    def _keep(self, part: bytes) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)
            if self._size > MAX_LINE_BYTES:
                raise UpstreamError(Kind.PROTOCOL, "the provider sent a line without end")
