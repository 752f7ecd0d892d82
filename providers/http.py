"""The one door to upstreams: an httpx transport over asyncio streams and httptools.

httpx's own pool costs 2 to 12 ms of CPU a request at 64 connections; this one costs about a tenth of a millisecond.
Requests and responses are httpx's, and so are the exceptions: ConnectError (refused, unresolvable, TLS),
ConnectTimeout, ReadTimeout, ReadError (reset), RemoteProtocolError. A kept connection that turns out stale is replaced
once, before any byte.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, cast

import httptools
import httpx
from msgspec import Struct

CONNECT_TIMEOUT_S = 3.0
# A first answer may take long; between two pieces of one, and for all of it, there are limits too.
FIRST_BYTE_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 60.0
TOTAL_TIMEOUT_S = 600.0
KEEP_ALIVE_S = 55.0
MAX_IDLE_PER_ORIGIN = 256
# Beyond this much unread body the upstream is made to wait, so a slow client does not fill our memory.
HIGH_WATER_BYTES = 256 * 1024

Origin = tuple[str, str, int]  # scheme, host, port


class Connection(asyncio.Protocol):
    """One TCP connection: one exchange at a time, kept for the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self.is_fresh = True
        self.idle_since = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._end = 0.0
        self._busy = False
        self._lost: Exception | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.is_complete = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._is_paused = False
        self._failure: Exception | None = None
        self._got_bytes = False
        self._is_delimited = False
        self._is_kept_alive = False

    # What the transport below asks for

    async def exchange(self, data: bytes, *, first_byte_timeout: float, total_timeout: float) -> None:
        """Sends a request and returns when the response's head is here."""
        self._reset()
        self._busy = True
        self._end = self.loop.time() + total_timeout
        transport = self._alive()
        transport.write(data)
        while not self.has_head:
            await self._wait(first_byte_timeout)

    async def read(self, idle_timeout: float) -> bytes:
        """All of the body that has arrived and was not read yet; b"" at its end."""
        while not self._chunks:
            if self.is_complete:
                return b""
            await self._wait(idle_timeout)
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()
        return data

    def finish(self) -> bool:
        """The exchange is over; says whether the connection can carry another."""
        self._busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # A large answer that nobody read may have come whole and left its reading paused.
        reusable = self.is_complete and self._is_kept_alive and self._lost is None and not self._is_paused
        if not reusable:
            self.abort()
        self.is_fresh = False
        self.idle_since = self.loop.time()
        return reusable

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    @property
    def is_usable(self) -> bool:
        return self._lost is None and self.loop.time() - self.idle_since < KEEP_ALIVE_S

    @property
    def went_stale(self) -> bool:
        """It was kept from an earlier exchange and closed without a byte of an answer."""
        return not self.is_fresh and not self._got_bytes

    def _alive(self) -> asyncio.Transport:
        if self._lost is not None or self.transport is None:
            raise httpx.ReadError("connection is closed")
        return self.transport

    async def _wait(self, timeout: float) -> None:
        if self._failure is not None:
            raise self._failure
        now = self.loop.time()
        self._deadline = min(now + timeout, self._end)
        # One timer an exchange, moved on when it fires early, instead of one a chunk.
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(self._deadline, self._on_timer)
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._on_timer)
        else:
            self._fail(httpx.ReadTimeout("the provider was silent for too long"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._failure is None and not self.is_complete:
            self._failure = error
        if self._waiter is not None and not self._waiter.done():
            if self._failure is not None:
                self._waiter.set_exception(self._failure)
            else:
                self._waiter.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self.abort()
            return
        self._got_bytes = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"not HTTP: {error}"))
            self.abort()
            return
        if self.has_head:
            self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc or ConnectionResetError()
        if self.has_head and not self._is_delimited and exc is None:
            # HTTP/1.0 style: the end of the connection is the end of the body.
            self.is_complete = True
            self._wake()
            return
        self._fail(httpx.ReadError("the provider closed the connection"))

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status = status
        self.has_head = True
        names = {name.lower() for name, _ in self.headers}
        self._is_delimited = b"content-length" in names or b"transfer-encoding" in names

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER_BYTES and not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True
            self._is_kept_alive = self._parser.should_keep_alive()


class Body(httpx.AsyncByteStream):
    """A response's body: `read()` takes what has come; closing early drops the connection and stops the provider."""

    def __init__(self, transport: "UpstreamTransport", origin: Origin, connection: Connection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection

    async def read(self, idle_timeout: float = IDLE_TIMEOUT_S) -> bytes:
        if self._connection is None:
            return b""
        data = await self._connection.read(idle_timeout)
        if not data:
            self.close()
        return data

    async def read_all(self, limit: int) -> bytes:
        """The whole body; if it does not come whole, or nobody waits for it any more, the connection is dropped."""
        parts = []
        size = 0
        try:
            while part := await self.read():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise httpx.RemoteProtocolError(f"the answer is larger than {limit} bytes")
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.finish():
            self._transport.keep(self._origin, connection)

    async def aclose(self) -> None:
        self.close()

    async def __aiter__(self) -> Any:
        while data := await self.read():
            yield data


class Answer(Struct, frozen=True):
    """A response's head; its body is still to be read or closed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Body


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Keeps idle connections per origin. One a process, used from its event loop alone."""

    def __init__(self) -> None:
        self._idle: dict[Origin, deque[Connection]] = {}
        self._tls = httpx.create_ssl_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """For httpx's own client. `extensions["timeout"]`: connect, read (to the first byte); seconds."""
        timeout = request.extensions.get("timeout", {})
        answer = await self.exchange(
            origin_of(request.url),
            serialise(request),
            connect_timeout=timeout.get("connect") or CONNECT_TIMEOUT_S,
            first_byte_timeout=timeout.get("read") or FIRST_BYTE_TIMEOUT_S,
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=answer.body, request=request)

    async def exchange(
        self,
        origin: Origin,
        data: bytes,
        *,
        connect_timeout: float = CONNECT_TIMEOUT_S,
        first_byte_timeout: float = FIRST_BYTE_TIMEOUT_S,
        total_timeout: float = TOTAL_TIMEOUT_S,
    ) -> Answer:
        """The request's bytes for the answer's head. The hot path: httpx's objects cost as much as the rest."""
        kept = self._take(origin)
        while True:
            connection = kept or await self._connect(origin, connect_timeout)
            try:
                await connection.exchange(data, first_byte_timeout=first_byte_timeout, total_timeout=total_timeout)
            except httpx.ReadError:
                is_stale = connection.went_stale
                connection.finish()
                if is_stale:
                    kept = None
                    continue
                raise
            except BaseException:
                connection.finish()
                raise
            return Answer(connection.status, connection.headers, Body(self, origin, connection))

    def keep(self, origin: Origin, connection: Connection) -> None:
        idle = self._idle.setdefault(origin, deque())
        if len(idle) < MAX_IDLE_PER_ORIGIN:
            idle.append(connection)
        else:
            connection.abort()

    async def aclose(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    def _take(self, origin: Origin) -> Connection | None:
        """The connection used last is the likeliest to be alive; older ones age out behind it."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, timeout: float) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        tls: ssl.SSLContext | None = self._tls if scheme == "https" else None
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop), host, port, ssl=tls, server_hostname=host if tls else None
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {timeout:g} s") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection


def origin_of(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def serialise(request: httpx.Request) -> bytes:
    """The request's bytes on the wire (HTTP/1.1, body of known length)."""
    lines = [b"%s %s HTTP/1.1\r\n" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s\r\n" % (name, value) for name, value in request.headers.raw]
    return b"".join(lines) + b"\r\n" + request.content
