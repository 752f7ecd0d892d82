"""An HTTP error of a provider, read as an UpstreamError. Shared by the wires whose errors are JSON objects."""

import math
import time
from email.utils import parsedate_to_datetime

import msgspec

from providers.errors import Kind, UpstreamError

RAW_BYTES = 2000
BY_STATUS = {
    400: Kind.INVALID_REQUEST,
    401: Kind.CREDENTIAL,
    402: Kind.CREDENTIAL,
    403: Kind.CREDENTIAL,
    404: Kind.NOT_FOUND,
    408: Kind.TIMEOUT,
    413: Kind.INVALID_REQUEST,
    415: Kind.INVALID_REQUEST,
    422: Kind.INVALID_REQUEST,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    524: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
# Words in codes and messages by which vendors tell these two from any other 400.
CONTEXT_LENGTH = ("context_length", "context length", "maximum context", "too many tokens", "prompt is too long")
CONTENT_POLICY = ("content_policy", "content_filter", "content management policy", "responsible_ai")


class Detail(msgspec.Struct, frozen=True):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None


class Envelope(msgspec.Struct, frozen=True):
    error: Detail | str | None = None
    message: str | None = None


def from_status(status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
    raw = body[:RAW_BYTES].decode(errors="replace")
    message, code = said(body)
    kind = BY_STATUS.get(status, Kind.UNAVAILABLE if status >= 500 else Kind.INVALID_REQUEST)
    if kind is Kind.INVALID_REQUEST:
        words = f"{code} {message}".lower()
        if any(word in words for word in CONTEXT_LENGTH):
            kind = Kind.CONTEXT_LENGTH
        elif any(word in words for word in CONTENT_POLICY):
            kind = Kind.CONTENT_POLICY
    return UpstreamError(
        kind,
        message or f"the provider answered with status {status}",
        status=status,
        raw=raw,
        provider_code=code or None,
        retry_after=seconds(headers.get("retry-after")),
    )


def said(body: bytes) -> tuple[str, str]:
    """The message and code in the body, as far as there are any."""
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
    except msgspec.DecodeError:
        return "", ""
    if isinstance(envelope.error, str):
        return envelope.error, ""
    if envelope.error is None:
        return envelope.message or "", ""
    return envelope.error.message or "", str(envelope.error.code or envelope.error.type or "")


def seconds(retry_after: str | None) -> float | None:
    """Retry-After is seconds or a date."""
    if not retry_after:
        return None
    try:
        wait = float(retry_after)
        return max(wait, 0.0) if math.isfinite(wait) else None
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
