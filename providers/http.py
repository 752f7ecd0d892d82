"""The one door to upstreams: an httpx transport over asyncio streams and httptools.

httpx's own pool costs 2 to 12 ms of CPU a request at 64 connections; this one costs about a tenth of a millisecond.
Requests and responses are httpx's, and so are the exceptions: ConnectError (refused, unresolvable, TLS),
ConnectTimeout, ReadTimeout, ReadError (reset), RemoteProtocolError. A kept connection that turns out stale is replaced
once, before any byte.
"""

import asyncio
import ssl
from collections import deque
from typing import Any

import httpx
from msgspec import Struct

from providers.connection import Connection
from providers.tokens import TokenCache

CONNECT_TIMEOUT_S = 3.0
# A first answer may take long; between two pieces of one, and for all of it, there are limits too.
FIRST_BYTE_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 60.0
TOTAL_TIMEOUT_S = 600.0
MAX_IDLE_PER_ORIGIN = 256

Origin = tuple[str, str, int]  # scheme, host, port


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
    """Keeps idle connections per origin, and tokens. One a process, used from its event loop alone."""

    def __init__(self) -> None:
        self.tokens = TokenCache()
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
                # The answer may have come in the moment in which nobody wanted it any more.
                connection.abort()
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
