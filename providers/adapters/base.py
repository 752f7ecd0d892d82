"""What a wire's adapter is: pure translations between canonical form and vendor's bytes. No sockets, settings, ORM."""

from collections.abc import Iterable, Mapping
from typing import Literal
from uuid import uuid4

from msgspec import Struct

from providers.adapters.errors import from_status
from providers.canonical import Completion, EmbeddingRequest, Embeddings, Event, FinishReason, Request
from providers.errors import Kind, UpstreamError
from providers.quirks import Scheme
from providers.snapshot import Endpoint

Framing = Literal["sse", "eventstream", "ndjson"]


class Call(Struct, frozen=True):
    """An HTTP request to be sent to the provider's base URL, what proves the sender apart."""

    path: str
    body: bytes
    headers: Mapping[str, str] = {}


def finish_reason(words: Mapping[str, FinishReason], native: str | None, calls_tools: bool) -> FinishReason:
    """Never empty and one of five; some vendors say "stop" although the answer calls tools."""
    reason = words.get(native or "", "stop")
    return "tool_calls" if calls_tools and reason == "stop" else reason


def new_call_id() -> str:
    """For calls of vendors that forget it, without which no result could be told to its call."""
    return f"call_{uuid4().hex[:24]}"


class Reader:
    """State of one stream."""

    def feed(self, payload: bytes) -> Iterable[Event]:
        """The events of one payload of the framing. Raises UpstreamError when it cannot be read."""
        raise NotImplementedError

    def done(self) -> Iterable[Event]:
        """The stream's own end mark has come."""
        return ()


class Adapter:
    """One wire."""

    framing: Framing = "sse"
    auth: Scheme = "bearer"
    # Sent with every request, probes included.
    headers: Mapping[str, str] = {}

    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        raise NotImplementedError

    def completion(self, body: bytes) -> Completion:
        """A 2xx body that was not streamed. Raises UpstreamError when it is not what the wire promises."""
        raise NotImplementedError

    def stream(self) -> Reader:
        raise NotImplementedError

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return from_status(status, headers, body)

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        raise unsupported("this provider has no embeddings")

    def embeddings(self, body: bytes) -> Embeddings:
        raise unsupported("this provider has no embeddings")


def unsupported(what: str) -> UpstreamError:
    """Another endpoint may be able to."""
    return UpstreamError(Kind.UNSUPPORTED, what)
