"""One attempt at one endpoint: the adapter's call over the transport, failures told as UpstreamError."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

import httpx

from providers import auth, surrogates
from providers.adapters import WIRES
from providers.adapters.base import Adapter, Call, Framing
from providers.canonical import (
    Completion,
    Content,
    EmbeddingRequest,
    Embeddings,
    Event,
    Failure,
    Native,
    Request,
    UsageReport,
)
from providers.errors import Kind, UpstreamError
from providers.eventstream import FrameParser
from providers.http import FIRST_BYTE_TIMEOUT_S, Body, Origin, UpstreamTransport, origin_of, serialise
from providers.ndjson import LineParser
from providers.snapshot import Endpoint
from providers.sse import EventParser

MAX_ERROR_BYTES = 1024 * 1024
MAX_COMPLETION_BYTES = 128 * 1024 * 1024
DONE = b"[DONE]"
DRAIN_S = 0.2
HEADERS = (("content-type", "application/json"), ("accept-encoding", "identity"), ("user-agent", "turnpike"))


# A failure is raised.
Told = Content | UsageReport | Native


class Parser(Protocol):
    def feed(self, received: bytes) -> list[bytes]: ...

    def end(self) -> list[bytes]: ...


FRAMINGS: dict[Framing, Callable[[], Parser]] = {"sse": EventParser, "eventstream": FrameParser, "ndjson": LineParser}


async def complete(
    http: UpstreamTransport, endpoint: Endpoint, request: Request, *, max_tokens: int | None
) -> Completion:
    if request.embedding is not None:
        found = await embed(http, endpoint, request.embedding)
        return Completion([], found.usage, found.upstream_id, vectors=found.vectors)
    adapter = WIRES[endpoint.provider.wire]
    call = adapter.request(request, endpoint, max_tokens=max_tokens)
    body = await whole(http, endpoint, adapter, call)
    try:
        return adapter.completion(body)
    except UpstreamError:
        if (mended := surrogates.replaced(body.decode(errors="replace").encode())) == body:
            raise
    return adapter.completion(mended)


async def embed(http: UpstreamTransport, endpoint: Endpoint, request: EmbeddingRequest) -> Embeddings:
    adapter = WIRES[endpoint.provider.wire]
    found = adapter.embeddings(await whole(http, endpoint, adapter, adapter.embedding(request, endpoint)))
    if len(found.vectors) != request.count:
        message = f"the provider answered with {len(found.vectors)} vectors instead of {request.count}"
        raise UpstreamError(Kind.PROTOCOL, message)
    return found


async def stream(
    http: UpstreamTransport,
    endpoint: Endpoint,
    request: Request,
    *,
    max_tokens: int | None,
    echoes: list[bytes] | None = None,
) -> "EventStream":
    """The provider has accepted the request; its events are still to come. `echoes` gets what was sent."""
    adapter = WIRES[endpoint.provider.wire]
    call = adapter.request(request, endpoint, max_tokens=max_tokens)
    if echoes is not None:
        echoes.append(call.body)
    try:
        return EventStream(await send(http, endpoint, adapter, call), adapter)
    except httpx.TransportError as error:
        raise translated(error) from None


async def whole(http: UpstreamTransport, endpoint: Endpoint, adapter: Adapter, call: Call) -> bytes:
    try:
        body = await send(http, endpoint, adapter, call)
        return await body.read_all(MAX_COMPLETION_BYTES)
    except httpx.TransportError as error:
        raise translated(error) from None


async def send(http: UpstreamTransport, endpoint: Endpoint, adapter: Adapter, call: Call) -> Body:
    provider = endpoint.provider
    url = provider.base_url + call.path
    proof = await auth.headers(http, provider, adapter.auth, url=url, body=call.body)
    origin, head = request_head(url, (*adapter.headers.items(), *call.headers.items()))
    answer = await http.exchange(
        origin,
        b"%s%scontent-length: %d\r\n\r\n%s" % (head, lines(proof), len(call.body), call.body),
        first_byte_timeout=endpoint.first_token_timeout_s or FIRST_BYTE_TIMEOUT_S,
    )
    if answer.status == 200:
        return answer.body
    if answer.status < 400:
        answer.body.close()
        message = f"the provider answered with status {answer.status}"
        raise UpstreamError(Kind.PROTOCOL, message, status=answer.status)
    if answer.status == 401:
        auth.forget(http, provider, adapter.auth)
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in answer.headers}
    raise adapter.error(answer.status, headers, await answer.body.read_all(MAX_ERROR_BYTES))


@lru_cache(maxsize=4096)
def request_head(url: str, own: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
    """Where it goes, and its first bytes: the same for all requests to an endpoint."""
    request = httpx.Request("POST", url, headers=[*HEADERS, *own])
    request.headers.pop("content-length", None)
    return origin_of(request.url), serialise(request).removesuffix(b"\r\n")


def lines(proof: dict[str, str]) -> bytes:
    return b"".join([b"%s: %s\r\n" % (name.encode("ascii"), value.encode("ascii")) for name, value in proof.items()])


class EventStream:
    """The canonical events of one streamed answer."""

    def __init__(self, body: Body, adapter: Adapter) -> None:
        self._body = body
        self._parser = FRAMINGS[adapter.framing]()
        self._reader = adapter.stream()
        self._failed: UpstreamError | None = None
        # Once a character came in halves
        self._halves: surrogates.Halves | None = None
        self.is_over = False

    async def next(self) -> list[Told]:
        """The events that have come since, at least one unless the stream `is_over`. Raises the provider's failure."""
        if self._failed is not None:
            raise self._failed
        events: list[Told] = []
        while not events and not self.is_over:
            try:
                data = await self._body.read()
            except httpx.TransportError as error:
                raise translated(error) from None
            self._read(data, events)
            self.is_over = (self.is_over or not data) and self._failed is None
        return events

    def _read(self, data: bytes, events: list[Told]) -> None:
        try:
            for payload in self._parser.feed(data) if data else self._parser.end():
                self.is_over = payload == DONE
                for event in self._reader.done() if self.is_over else self._events(payload):
                    if isinstance(event, Failure):
                        raise UpstreamError(event.kind, event.message, raw=event.raw, provider_code=event.code)
                    events.append(event)
                if self.is_over:
                    return
        except UpstreamError as error:
            # What came before it must not depend on how the bytes were split.
            if not events:
                raise
            self._failed = error

    def _events(self, payload: bytes) -> Iterable[Event]:
        try:
            events, is_marked = self._reader.feed(payload), False
        except UpstreamError:
            if (marked := surrogates.marked(payload)) == payload:
                raise
            events, is_marked = self._reader.feed(marked), True
            self._halves = self._halves or surrogates.Halves()
        return events if self._halves is None else self._halves.joined(events, is_marked=is_marked)

    def close(self) -> None:
        """Stops the provider, if it is not done."""
        self._body.close()

    async def drain(self) -> None:
        """Reads the end that follows the last event, so that the connection can be kept; drops it if there is more."""
        try:
            if await self._body.read(idle_timeout=DRAIN_S):
                self._body.close()
        except httpx.TransportError:
            self._body.close()


def translated(error: httpx.TransportError) -> UpstreamError:
    match error:
        case httpx.ConnectTimeout() | httpx.ReadTimeout():
            return UpstreamError(Kind.TIMEOUT, str(error))
        case httpx.ConnectError():
            # The address is the operator's; the client learns that nobody answered there.
            return UpstreamError(Kind.UNREACHABLE, "the provider could not be reached")
        case httpx.ReadError():
            return UpstreamError(Kind.RESET, str(error))
        case _:
            return UpstreamError(Kind.PROTOCOL, str(error))
