"""Server-sent events as they come in: any split of the bytes over reads gives the same payloads."""

from providers.errors import Kind, UpstreamError

# A data line may hold a generated image; beyond this it is not an event but a fault.
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventParser:
    """Feeds on bytes, returns the `data` payloads of complete events. Names, ids and comments are dropped."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        if self._rest:
            received = self._rest + received
        lines = received.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_EVENT_BYTES:
            raise UpstreamError(Kind.PROTOCOL, "the provider sent an event without end")
        payloads = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._data:
                payloads.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
        return payloads

    def end(self) -> list[bytes]:
        """What was left without its closing blank line, which some servers forget at the very end."""
        payloads = self.feed(b"\n\n")
        self._rest = b""
        return payloads
