"""A provider's error, in an HTTP answer or within a stream, read as an UpstreamError. Shared by all wires."""

import math
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from providers.canonical import NULL, Failure
from providers.errors import Kind, UpstreamError

T = TypeVar("T")
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
    424: Kind.UNAVAILABLE,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    524: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
# Vendors' names of their errors, in lower case; for streams, where there is no status of its own.
BY_CODE = {
    "overloaded_error": Kind.OVERLOADED,
    "unavailable": Kind.OVERLOADED,
    "serviceunavailableexception": Kind.OVERLOADED,
    "modelnotreadyexception": Kind.OVERLOADED,
    "rate_limit_error": Kind.RATE_LIMITED,
    "rate_limit_exceeded": Kind.RATE_LIMITED,
    "resource_exhausted": Kind.RATE_LIMITED,
    "throttlingexception": Kind.RATE_LIMITED,
    "timeout_error": Kind.TIMEOUT,
    "deadline_exceeded": Kind.TIMEOUT,
    "modeltimeoutexception": Kind.TIMEOUT,
    "authentication_error": Kind.CREDENTIAL,
    "permission_error": Kind.CREDENTIAL,
    "billing_error": Kind.CREDENTIAL,
    "permission_denied": Kind.CREDENTIAL,
    "unauthenticated": Kind.CREDENTIAL,
    "accessdeniedexception": Kind.CREDENTIAL,
    "insufficient_quota": Kind.CREDENTIAL,
    "not_found_error": Kind.NOT_FOUND,
    "resourcenotfoundexception": Kind.NOT_FOUND,
    "invalid_request_error": Kind.INVALID_REQUEST,
    "badrequesterror": Kind.INVALID_REQUEST,
    "invalid_argument": Kind.INVALID_REQUEST,
    "invalid_prompt": Kind.INVALID_REQUEST,
    "validationexception": Kind.INVALID_REQUEST,
}
# The operator's account at the provider is empty: waiting does not help, and it is not the client's business.
NO_QUOTA = "insufficient_quota"
# Words in codes and messages by which vendors tell these from any other 400.
CONTEXT_LENGTH = (
    "context_length",
    "context length",
    "context window",
    "context size",
    "maximum context",
    "too many tokens",
    "prompt is too long",
    "input is too long",
    "exceeds the maximum number of tokens",
)
CREDENTIAL = (
    "invalid_api_key",
    "api_key_invalid",
    "incorrect api key",
    "invalid api key",
    "api key not valid",
    "credit balance is too low",
)
OVERLOADED = ("overloaded", "over capacity")
CONTENT_POLICY = ("content_policy", "content_filter", "content management policy", "responsible_ai", "content_filtered")


class Hint(Struct, frozen=True):
    retryDelay: str | None = None


class Detail(Struct, frozen=True):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None
    # Google's name of it; its `code` is the HTTP status.
    status: str | int | None = None
    details: Raw = NULL


class Envelope(Struct, frozen=True):
    error: Detail | str | None = None
    # Cloudflare
    errors: list[Detail] | None = None
    # FastAPI: a text, or a list of what is wrong where
    detail: Raw = NULL
    # The error itself: AWS, Cohere, older vLLM
    message: str | None = None
    code: str | int | None = None
    type: str | None = None
    object: str | None = None


class Misfit(Struct, frozen=True):
    msg: str = ""
    loc: list[str | int] = []


class Said(Struct, frozen=True):
    message: str = ""
    code: str = ""
    retry_after: float | None = None


NOTHING = Said()
decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_envelopes = msgspec.json.Decoder(list[Envelope]).decode
decode_hints = msgspec.json.Decoder(list[Hint]).decode
decode_detail = msgspec.json.Decoder(str | list[Misfit]).decode


def from_status(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    found = said(body)
    code = found.code or headers.get("x-amzn-errortype", "").partition(":")[0]
    kind = BY_STATUS.get(status, Kind.UNAVAILABLE if status >= 500 else Kind.INVALID_REQUEST)
    if kind is Kind.RATE_LIMITED and code == NO_QUOTA:
        kind = Kind.CREDENTIAL
    waited = seconds(headers.get("retry-after"))
    return UpstreamError(
        refined(kind, code, found.message),
        found.message or f"the provider answered with status {status}",
        status=status,
        raw=raw(body),
        provider_code=code or None,
        retry_after=found.retry_after if waited is None else waited,
    )


def in_stream(message: str, code: str, payload: bytes) -> Failure:
    """What a provider says in the middle of its answer."""
    if code.isdecimal():
        kind = BY_STATUS.get(int(code), Kind.UNAVAILABLE)
    else:
        kind = BY_CODE.get(code.lower(), Kind.UNAVAILABLE)
    message = message or "the provider reported an error"
    return Failure(message, code or None, raw(payload), refined(kind, code, message))


def refined(kind: Kind, code: str, message: str) -> Kind:
    """Vendors say these with a plain 400, or in a stream with no better word than "error"."""
    if kind not in (Kind.INVALID_REQUEST, Kind.UNAVAILABLE):
        return kind
    words = f"{code} {message}".lower()
    if any(word in words for word in CONTEXT_LENGTH):
        return Kind.CONTEXT_LENGTH
    if any(word in words for word in CONTENT_POLICY):
        return Kind.CONTENT_POLICY
    if any(word in words for word in CREDENTIAL):
        return Kind.CREDENTIAL
    if kind is Kind.UNAVAILABLE and any(word in words for word in OVERLOADED):
        return Kind.OVERLOADED
    return kind


def said(body: bytes) -> Said:
    """The message and code in the body, as far as there are any."""
    try:
        if body.lstrip()[:1] == b"[":
            # Google wraps the errors of streams in a list.
            return next((of_envelope(one) for one in decode_envelopes(body)), NOTHING)
        return of_envelope(decode_envelope(body))
    except UNREADABLE:
        return NOTHING


def of_envelope(envelope: Envelope) -> Said:
    if isinstance(envelope.error, str):
        return Said(envelope.error, str(envelope.code or envelope.type or ""))
    if envelope.error is not None:
        return of_detail(envelope.error)
    if envelope.errors:
        return of_detail(envelope.errors[0])
    message = envelope.message or (of_fastapi(envelope.detail) if envelope.detail != NULL else "")
    return Said(message, str(envelope.code or envelope.type or ""))


def of_detail(detail: Detail) -> Said:
    name = detail.status if isinstance(detail.status, str) else None
    return Said(detail.message or "", str(name or detail.code or detail.type or ""), wait_of(detail))


def wait_of(detail: Detail) -> float | None:
    """Google's hint, like "34.07s"."""
    if detail.details == NULL:
        return None
    try:
        hints = decode_hints(detail.details)
    except UNREADABLE:
        return None
    return next((seconds(hint.retryDelay.removesuffix("s")) for hint in hints if hint.retryDelay), None)


def of_fastapi(detail: Raw) -> str:
    try:
        found = decode_detail(detail)
    except UNREADABLE:
        return ""
    if isinstance(found, str):
        return found
    return "; ".join(f"{'.'.join(map(str, one.loc))}: {one.msg}" if one.loc else one.msg for one in found)


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """Raises UpstreamError when it is not what the wire promises."""
    try:
        return decode(body)
    except UNREADABLE as error:
        raise unreadable(error, body) from None


def unreadable(why: object, body: bytes) -> UpstreamError:
    return UpstreamError(Kind.PROTOCOL, f"the provider's answer could not be read: {why}", raw=raw(body))


def raw(body: bytes) -> str:
    return body[:RAW_BYTES].decode(errors="replace")


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
