"""Static files, packed once a process for whom takes that: the admin's scripts are a third of their size then."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import TypeGuard

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import async_only_middleware

from gateway.api.browsers import GZIP, LEAST_GZIP_BYTES, takes_gzip

Handler = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
TEXTS = ("text/", "image/svg+xml", "application/json")


@async_only_middleware
def assets(get_response: Handler) -> Handler:
    packed: dict[tuple[str, str], bytes] = {}

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        if not request.path_info.startswith(settings.STATIC_URL) or not is_text(response):
            return response
        patch_vary_headers(response, ["Accept-Encoding"])
        if request.method != "GET" or not takes_gzip(request.headers.get("Accept-Encoding", "")):
            return response
        # Only files that are there come here, so it stays small.
        key = request.path_info, response["Last-Modified"]
        if key not in packed:
            content = b"".join([part async for part in response])
            packed[key] = await asyncio.to_thread(zlib.compress, content, wbits=GZIP)
        response.close()
        headers = {**response.headers, "Content-Encoding": "gzip", "Content-Length": str(len(packed[key]))}
        return HttpResponse(packed[key], headers=headers)

    return middleware


def is_text(response: HttpResponseBase) -> TypeGuard[FileResponse]:
    """Whole, and worth it."""
    return (
        isinstance(response, FileResponse)
        and response.status_code == 200
        and response["Content-Type"].startswith(TEXTS)
        and int(response["Content-Length"]) >= LEAST_GZIP_BYTES
    )
