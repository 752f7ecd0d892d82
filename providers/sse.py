"""Server-sent events as they come in: any split of the bytes over reads gives the same payloads."""

from providers.errors import Kind, UpstreamError

# A data line may hold a generated image; beyond this it is not an event but a fault.
MAX_EVENT_BYTES = 32 * 1024 * 1024


class EventParser:
    """Feeds on bytes, returns the `data` payloads of complete events. Names, ids and comments are dropped.

    Each byte is looked at once: an event of megabytes that comes in small pieces must not be searched anew with each.
    """

    __slots__ = ("_has_cr", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        # A CR at the very end may be half of a line's end.
        self._has_cr = False

    def feed(self, received: bytes) -> list[bytes]:
        if self._has_cr or b"\r" in received:
            received = self._with_plain_line_ends(received)
        rest = self._rest
        if not rest:
            events = received.split(b"\n\n")
        elif b"\n\n" in received or (received.startswith(b"\n") and rest.endswith(b"\n")):
            rest += received
            events = bytes(rest).split(b"\n\n")
            self._rest = rest = bytearray()
        else:
            events = [received]
        rest += events.pop()
        if len(rest) > MAX_EVENT_BYTES:
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
        rest, self._rest, self._has_cr = bytes(self._rest), bytearray(), False
        payload = data_of(rest)
        return [] if payload is None else [payload]

    def _with_plain_line_ends(self, received: bytes) -> bytes:
        if self._has_cr:
            received = b"\r" + received
        self._has_cr = received.endswith(b"\r")
        return received.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def data_of(event: bytes) -> bytes | None:
    """The event's data lines, joined; None if it has none."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
