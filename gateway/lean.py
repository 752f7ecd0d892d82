"""Django's ASGI handler without what the inference paths do not use.

Stock, a request costs an OS thread, three thread hops and the request signals. Here: the view by its path and answer.
There is no middleware; what these paths need of one is here (body limit, last-resort errors). No view touches the ORM.
"""

import asyncio
from collections.abc import AsyncIterable
from importlib import import_module
from io import BytesIO
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.utils.functional import cached_property

from gateway import errors
from gateway.api.browsers import CORS, LEAST_GZIP_BYTES, compress
from gateway.cork import CorkedProtocol
from gateway.idempotency import Stream

# A client that keeps its connection and takes nothing is left after this or, at most, twice as long: it would keep its
# hold and the provider's slot for ever.
PATIENCE_S = 60.0
# A body declared with more digits than this, 100 kB, is read only for a key that is known.
MUCH_DIGITS = 5
CORS_HEADERS = [(name.lower().encode(), value.encode()) for name, value in CORS.items()]


class StreamResponse(HttpResponseBase):
    """Server-sent events; the lean handler alone knows how to send it."""

    streaming = True

    def __init__(self, stream: Stream) -> None:
        super().__init__(content_type="text/event-stream; charset=utf-8")
        self.stream = stream
        self["Cache-Control"] = "no-cache"
        # nginx in front would otherwise collect events.
        self["X-Accel-Buffering"] = "no"


class LeanRequest(ASGIRequest):
    """Django's request, of which META and what hangs on it are made only when somebody asks."""

    def __init__(self, scope: HTTPScope, body: bytes) -> None:
        self.scope: Any = scope
        self.method = scope["method"]
        self.path = self.path_info = scope["path"]
        self.script_name = ""
        self.resolver_match = None
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._body = body

    def header(self, name: bytes) -> str:
        """By its lower-case name; "" if it is not there."""
        return self._headers.get(name, b"").decode("latin1")

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]
        return ASGIRequest(self.scope, BytesIO()).META


class LeanHandler(ASGIHandler):
    def __init__(self, urlconf: str) -> None:
        # Not the parent's: it would load settings.MIDDLEWARE.
        patterns: list[URLPattern] = import_module(urlconf).urlpatterns
        self._views: dict[str, Any] = {f"/{found.pattern}": found.callback for found in patterns}

    def serves(self, path: str) -> bool:
        return path in self._views

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        response: HttpResponseBase | None = None
        connection: CorkedProtocol = scope["state"]["connection"]
        has_left = False

        def leave() -> None:
            nonlocal has_left
            has_left = True
            task.cancel()

        try:
            if declares_much(scope):
                await self.admit(scope)
            body = await read(receive, settings.MAX_BODY_BYTES)
            connection.watch(leave)
            response = await self.respond(scope, body)
            await self.send(scope, response, send)
        except Disconnected:
            pass
        except errors.ApiError as error:
            await self.send(scope, self.refusal(scope, error), send)
        except asyncio.CancelledError:
            # The client left: there is nobody to answer. Any other cancellation is ours: this process ends, or has been
            # out of touch with the till for so long that the hold is gone.
            if not has_left:
                if response is not None:
                    raise
                away = errors.ApiError(503, "This request could not be finished here. Try again.", retry_after=1)
                await self.send(scope, self.refusal(scope, away), send)
        finally:
            connection.unwatch()
            if isinstance(response, StreamResponse):
                response.stream.abandon()

    async def admit(self, scope: HTTPScope) -> None:
        """Before a large body is read: whose it is, and whether it can fit. Raises ApiError."""
        view_class = getattr(self._views[scope["path"]], "cls", None)
        if view_class is not None and scope["method"] == "POST":
            try:
                await view_class.admit(scope)
            except Exception as error:
                raise errors.translate(error) from error
        if declared(scope) > settings.MAX_BODY_BYTES:
            raise errors.too_large(settings.MAX_BODY_BYTES)

    async def send(self, scope: HTTPScope, response: HttpResponseBase, send: ASGISendCallable) -> None:
        if isinstance(response, HttpResponse) and len(response.content) >= LEAST_GZIP_BYTES:
            compress(response, header(scope, b"accept-encoding"))
        await transmit(response, send, CORS_HEADERS if errors.is_api(scope["path"]) else [])

    async def respond(self, scope: HTTPScope, body: bytes) -> HttpResponseBase:
        try:
            view = self._views[scope["path"]]
            response: HttpResponseBase = await view(LeanRequest(scope, body))
        except Exception as error:
            # The edge: whatever it was, the client gets the envelope and the log the rest.
            return self.refusal(scope, error)
        return response

    def refusal(self, scope: HTTPScope, error: Exception) -> HttpResponse:
        """In the envelope of the path's skin."""
        view_class = getattr(self._views[scope["path"]], "cls", None)
        if view_class is None:
            return errors.translate(error).response()
        response: HttpResponse = view_class.refusal(error)
        return response


class Disconnected(Exception):
    """The client left while it was sending its request, or takes no more of its answer."""


async def read(receive: ASGIReceiveCallable, limit: int) -> bytes:
    """The whole body. Raises ApiError 413 when it is larger than `limit` bytes."""
    message = await receive()
    if message["type"] == "http.request" and not message["more_body"]:
        whole = message["body"]
        if len(whole) > limit:
            raise errors.too_large(limit)
        return whole
    parts = []
    size = 0
    while message["type"] == "http.request":
        parts.append(message["body"])
        size += len(message["body"])
        if size > limit:
            raise errors.too_large(limit)
        if not message["more_body"]:
            return b"".join(parts)
        message = await receive()
    raise Disconnected


def header(scope: HTTPScope, name: bytes) -> str:
    return dict(scope["headers"]).get(name, b"").decode("latin1")


def declared(scope: HTTPScope) -> int:
    """Of the body; 0 where it comes in chunks."""
    length = header(scope, b"content-length")
    return int(length) if length.isdecimal() else 0


def declares_much(scope: HTTPScope) -> bool:
    """More than is read without a question, or a body whose size nobody tells."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return len(value) > MUCH_DIGITS
        if name == b"transfer-encoding":
            return True
    return False


async def transmit(response: HttpResponseBase, send: ASGISendCallable, more: list[tuple[bytes, bytes]]) -> None:
    headers = [(name.encode("latin1").lower(), value.encode("latin1")) for name, value in response.items()]
    headers += more
    content = response.content if isinstance(response, HttpResponse) else b""
    if not response.streaming:
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers, "trailers": False})
    if isinstance(response, StreamResponse):
        await relay(response.stream, send)
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def relay(parts: AsyncIterable[bytes], send: ASGISendCallable) -> None:
    """Sends a stream as it comes. Raises Disconnected when the client takes no more."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    count = 0
    is_sending = is_stuck = False
    timer: asyncio.TimerHandle

    def look(before: int) -> None:
        nonlocal is_stuck, timer
        is_stuck = is_sending and count == before
        if is_stuck:
            task.cancel()
        else:
            timer = loop.call_later(PATIENCE_S, look, count)

    timer = loop.call_later(PATIENCE_S, look, count)
    try:
        async for part in parts:
            count += 1
            is_sending = True
            await send({"type": "http.response.body", "body": part, "more_body": True})
            is_sending = False
    except asyncio.CancelledError:
        if is_stuck:
            raise Disconnected from None
        raise
    finally:
        timer.cancel()
