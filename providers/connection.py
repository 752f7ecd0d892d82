"""One TCP connection to an upstream, parsed by httptools: one exchange at a time, kept for the next."""

import asyncio
from collections import deque
from typing import cast

import httptools
import httpx

KEEP_ALIVE_S = 55.0
# Beyond this much unread body the upstream is made to wait, so a slow client does not fill our memory.
HIGH_WATER_BYTES = 256 * 1024


class Connection(asyncio.Protocol):
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
