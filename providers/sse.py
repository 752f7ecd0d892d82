"""Server-sent events as they come in: any split of the bytes over reads gives the same payloads."""

from providers.errors import Kind, UpstreamError

# A data line may hold a generated image; beyond this it is not an event but a fault.
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventParser:
    """Feeds on bytes, returns the `data` payloads of complete events. Names, ids and comments are dropped."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> list[bytes]:
        if self._rest:
            received = self._rest + received
        if b"\r" in received:
            # A CR at the very end may be half of a line's end.
            tail = received[-1:] if received.endswith(b"\r") else b""
            received = received.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
        events = received.split(b"\n\n")
        self._rest = events.pop()
        if len(self._rest) > MAX_EVENT_BYTES:
            raise UpstreamError(Kind.PROTOCOL, "the provider sent an event without end")
        payloads = []
        for event in events:
            if event.startswith(b"data: ") and b"\n" not in event:
                payloads.append(event[6:])
            elif (payload := data_of(event)) is not None:
                payloads.append(payload)
        return payloads

    def end(self) -> list[bytes]:
        """What was left without its closing blank line, which some servers forget at the very end."""
        rest, self._rest = self._rest.removesuffix(b"\r"), b""
        payload = data_of(rest)
        return [] if payload is None else [payload]


def data_of(event: bytes) -> bytes | None:
    """The event's data lines, joined; None if it has none."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
