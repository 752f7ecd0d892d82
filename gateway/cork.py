"""uvicorn's protocol with writes gathered: a response's head and body leave in one system call, not two.

A system call with its wake-up of the reader is the dearest single thing on the way of a request. What follows a head
that has left, a stream's chunks, comes one at a time and is not held back.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_S = 30.0
HEAD = b"HTTP/"


class CorkedTransport:
    """A head goes out at the end of the event loop's turn, with what is written until then."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if self._parts:
            self._parts.append(data)
        elif data.startswith(HEAD):
            self._parts.append(data)
            self._loop.call_soon(self._flush)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # A client that takes no more would keep the socket open for ever.
            self._loop.call_later(LINGER_S, self._transport.abort)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        # A client that has left meanwhile has closed it.
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


# Written out: this is imported before Django's settings are.
NOT_HTTP = b'{"error":{"code":400,"message":"Invalid HTTP request.","metadata":{"error_type":"invalid_request"}}}'


class CorkedProtocol(HttpToolsProtocol):
    on_left: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        corked = CorkedTransport(cast(asyncio.Transport, transport), self.loop)
        super().connection_made(cast(asyncio.Transport, corked))

    def watch(self, on_left: Callable[[], object]) -> None:
        """Calls it if the client leaves: cheaper than a task that waits for uvicorn's message."""
        # The end of a large body may have paused it, and then nobody would see the connection end.
        self.flow.resume_reading()
        self.on_left = on_left

    def unwatch(self) -> None:
        self.on_left = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.on_left is not None:
            self.on_left()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["state"]["connection"] = self

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered like any other error."""
        head = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n"
        self.transport.write(b"%scontent-length: %d\r\n\r\n%s" % (head, len(NOT_HTTP), NOT_HTTP))
        self.transport.close()
