"""One attempt at one endpoint: the adapter's call over the transport, failures told as UpstreamError."""

from functools import lru_cache

import httpx

from providers.adapters import WIRES
from providers.adapters.base import Adapter, Call
from providers.canonical import Completion, Event, Request
from providers.errors import Kind, UpstreamError
from providers.http import FIRST_BYTE_TIMEOUT_S, Body, Origin, UpstreamTransport, origin_of, serialise
from providers.snapshot import Endpoint
from providers.sse import EventParser

MAX_ERROR_BYTES = 1024 * 1024
MAX_COMPLETION_BYTES = 128 * 1024 * 1024
DONE = b"[DONE]"
DRAIN_S = 0.2
HEADERS = (("content-type", "application/json"), ("accept-encoding", "identity"), ("user-agent", "turnpike"))


async def complete(
    http: UpstreamTransport, endpoint: Endpoint, request: Request, *, max_tokens: int | None
) -> Completion:
    adapter = WIRES[endpoint.provider.wire]
    call = adapter.request(request, endpoint, max_tokens=max_tokens)
    try:
        body = await send(http, endpoint, adapter, call)
        answer = await body.read_all(MAX_COMPLETION_BYTES)
    except httpx.TransportError as error:
        raise translated(error) from None
    return adapter.completion(answer)


async def stream(
    http: UpstreamTransport, endpoint: Endpoint, request: Request, *, max_tokens: int | None
) -> "EventStream":
    """The provider has accepted the request; its events are still to come."""
    adapter = WIRES[endpoint.provider.wire]
    call = adapter.request(request, endpoint, max_tokens=max_tokens)
    try:
        return EventStream(await send(http, endpoint, adapter, call), adapter)
    except httpx.TransportError as error:
        raise translated(error) from None


async def send(http: UpstreamTransport, endpoint: Endpoint, adapter: Adapter, call: Call) -> Body:
    origin, head = request_head(endpoint.provider.base_url + call.path, tuple(call.headers.items()))
    answer = await http.exchange(
        origin,
        b"%scontent-length: %d\r\n\r\n%s" % (head, len(call.body), call.body),
        first_byte_timeout=endpoint.first_token_timeout_s or FIRST_BYTE_TIMEOUT_S,
    )
    if answer.status == 200:
        return answer.body
    if answer.status < 400:
        answer.body.close()
        message = f"the provider answered with status {answer.status}"
        raise UpstreamError(Kind.PROTOCOL, message, status=answer.status)
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in answer.headers}
    raise adapter.error(answer.status, headers, await answer.body.read_all(MAX_ERROR_BYTES))


@lru_cache(maxsize=4096)
def request_head(url: str, own: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
    """Where it goes, and its bytes up to the body's length: the same for all requests to an endpoint."""
    request = httpx.Request("POST", url, headers=[*HEADERS, *own])
    request.headers.pop("content-length", None)
    return origin_of(request.url), serialise(request).removesuffix(b"\r\n")


class EventStream:
    """The canonical events of one streamed answer."""

    def __init__(self, body: Body, adapter: Adapter) -> None:
        self._body = body
        self._parser = EventParser()
        self._reader = adapter.stream()
        self.is_over = False

    async def next(self) -> list[Event]:
        """The events that have come since, at least one unless the stream `is_over`."""
        events: list[Event] = []
        while not events and not self.is_over:
            try:
                data = await self._body.read()
            except httpx.TransportError as error:
                raise translated(error) from None
            for payload in self._parser.feed(data) if data else self._parser.end():
                if payload == DONE:
                    self.is_over = True
                    break
                events += self._reader.feed(payload)
            self.is_over = self.is_over or not data
        return events

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
