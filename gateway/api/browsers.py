"""What every answer of the API has for browsers of other origins and for slow lines: CORS and gzip. Pages have gzip.

Keys are sent in a header and never by cookie, so any origin may call. Streams are never compressed: a compressor would
collect events.
"""

import zlib
from collections.abc import Iterable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from gateway.errors import is_api

EXPOSED = "X-Generation-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
PREFLIGHT_S = "86400"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
# Below it the answer fits a few packets anyway; above it the event loop would stand still for too long.
LEAST_GZIP_BYTES = 4 * 1024
MOST_GZIP_BYTES = 4 * 1024 * 1024
GZIP = 16 + zlib.MAX_WBITS


def preflight(methods: str, wanted: str) -> HttpResponse:
    """The answer to a browser that asks before it calls. A star would not stand for the header of the key."""
    headers = {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": wanted or "Authorization, Content-Type",
        "Access-Control-Max-Age": PREFLIGHT_S,
        "Allow": methods,
        "Vary": "Access-Control-Request-Headers",
    }
    return HttpResponse(status=204, headers=headers)


def compress(response: HttpResponse, accepted: str) -> None:
    """In place, where the client takes it and it is worth its time."""
    if response.streaming or response.has_header("Content-Encoding") or not takes_gzip(accepted):
        return
    if not LEAST_GZIP_BYTES <= len(response.content) <= MOST_GZIP_BYTES:
        return
    packer = zlib.compressobj(1, zlib.DEFLATED, GZIP)
    response.content = packer.compress(response.content) + packer.flush()
    response["Content-Encoding"] = "gzip"
    patch_vary_headers(response, ["Accept-Encoding"])
    if response.has_header("Content-Length"):
        response["Content-Length"] = str(len(response.content))


def takes_gzip(accepted: str) -> bool:
    return any(is_gzip(one) for one in accepted.lower().split(","))


def is_gzip(one: str) -> bool:
    name, *parameters = one.replace(" ", "").split(";")
    return name == "gzip" and not is_zero(parameters)


def is_zero(parameters: Iterable[str]) -> bool:
    return any(one.startswith("q=0") and not one.strip("q=0.") for one in parameters)


class BrowserMiddleware(MiddlewareMixin):
    """For Django's own handler; the lean one does the same itself.

    Pages are compressed too: what is secret in them stands there once (keys) or is masked anew each time (CSRF tokens).
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if not is_api(request.path):
            return None
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            # The headers that every answer has are added on the way out.
            return preflight(METHODS, request.headers.get("Access-Control-Request-Headers", ""))
        if request.method == "HEAD":
            # DRF's function views know no HEAD; the server leaves the body of the answer out.
            request.method = "GET"
        return None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_api(request.path):
            for name, value in CORS.items():
                response[name] = value
        if isinstance(response, HttpResponse):
            compress(response, request.headers.get("Accept-Encoding", ""))
        return response
