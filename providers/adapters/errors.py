"""An HTTP error of a provider, read as an UpstreamError. Shared by the wires whose errors are JSON objects."""

import math
import time
from email.utils import parsedate_to_datetime

import msgspec

from providers.errors import Kind, UpstreamError

RAW_BYTES = 2000
# What msgspec raises for bytes that are not the JSON expected: broken UTF-8 and deep nesting have errors of their own.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# No provider means a longer wait than this; some clients obey whatever is written.
MOST_RETRY_AFTER_S = 24 * 3600.0
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
# The operator's account at the provider is empty: waiting does not help, and it is not the client's business.
NO_QUOTA = "insufficient_quota"
# Words in codes and messages by which vendors tell these from any other 400.
CONTEXT_LENGTH = ("context_length", "context length", "maximum context", "too many tokens", "prompt is too long")
CREDENTIAL = ("invalid_api_key", "api_key_invalid", "incorrect api key", "invalid api key", "api key not valid")
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
    if kind is Kind.RATE_LIMITED and code == NO_QUOTA:
        kind = Kind.CREDENTIAL
    if kind is Kind.INVALID_REQUEST:
        words = f"{code} {message}".lower()
        if any(word in words for word in CONTEXT_LENGTH):
            kind = Kind.CONTEXT_LENGTH
        elif any(word in words for word in CONTENT_POLICY):
            kind = Kind.CONTENT_POLICY
        elif any(word in words for word in CREDENTIAL):
            kind = Kind.CREDENTIAL
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
    except UNREADABLE:
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
        return min(max(wait, 0.0), MOST_RETRY_AFTER_S) if math.isfinite(wait) else None
    except ValueError:
        pass
    try:
        return min(max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0), MOST_RETRY_AFTER_S)
    except ValueError:
        return None
