"""What a wire's adapter is: pure translations between canonical form and vendor's bytes. No sockets, settings, ORM."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from providers.canonical import Completion, Event, Request
from providers.errors import UpstreamError
from providers.snapshot import Endpoint


class Call(Struct, frozen=True):
    """An HTTP request to be sent to the provider's base URL, credentials apart."""

    path: str
    body: bytes
    headers: dict[str, str]


class StreamReader(Protocol):
    """State of one stream."""

    def feed(self, payload: bytes) -> Iterable[Event]:
        """The events of one SSE data payload. Raises UpstreamError when it cannot be read."""
        ...


class Adapter(Protocol):
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call: ...

    def completion(self, body: bytes) -> Completion:
        """A 2xx body that was not streamed. Raises UpstreamError when it is not what the wire promises."""
        ...

    def stream(self) -> StreamReader: ...

    def error(self, status: int, headers: dict[str, str], body: bytes) -> UpstreamError: ...
