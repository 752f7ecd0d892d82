"""Every error that leaves the API, in the reference's envelope (§3): here domain exceptions become statuses."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults
from msgspec import Struct
from rest_framework import exceptions

from billing.errors import HoldGone, KeyRevoked, TillAway, TillError
from providers.errors import Kind, UpstreamError
from providers.snapshot import Provider

logger = logging.getLogger(__name__)

JSON = "application/json"
# Codes that the published clients declare for chat; 504 is not among them (§2.13).
ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    405: "invalid_request",
    408: "timeout",
    413: "payload_too_large",
    415: "invalid_request",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
}
# What the client is told when every attempt failed and the last one failed so.
UPSTREAM: dict[Kind, tuple[int, str]] = {
    Kind.UNREACHABLE: (502, "provider_unavailable"),
    Kind.TIMEOUT: (524, "timeout"),
    Kind.RESET: (502, "provider_unavailable"),
    Kind.PROTOCOL: (502, "provider_unavailable"),
    Kind.UNAVAILABLE: (502, "provider_unavailable"),
    Kind.OVERLOADED: (503, "provider_overloaded"),
    Kind.RATE_LIMITED: (429, "rate_limit_exceeded"),
    Kind.CREDENTIAL: (502, "provider_unavailable"),
    Kind.NOT_FOUND: (502, "provider_unavailable"),
    Kind.CONTEXT_LENGTH: (400, "context_length_exceeded"),
    Kind.CONTENT_POLICY: (400, "content_policy_violation"),
    Kind.INVALID_REQUEST: (400, "invalid_request"),
    Kind.UNSUPPORTED: (400, "invalid_request"),
    Kind.BUSY: (429, "rate_limit_exceeded"),
}
# What a provider says of our credentials and its own insides is the operator's, not the client's.
PRIVATE = frozenset({Kind.CREDENTIAL, Kind.NOT_FOUND})


class ApiError(Exception):
    """An error as the client is to see it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str = "",
        metadata: Mapping[str, object] | None = None,
        availability: Mapping[str, object] | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type or ERROR_TYPES.get(status, "unmapped")
        self.metadata = metadata or {}
        self.availability = availability
        self.retry_after = retry_after
        self.headers = headers or {}
        self.generation = ""
        self.routing: dict[str, object] | None = None

    def body(self) -> dict[str, Any]:
        """The `error` member. Metadata, when sent, must hold error_type (§2.13)."""
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "metadata": {"error_type": self.error_type, **self.metadata},
        }
        if self.availability is not None:
            error["availability"] = self.availability
        return error

    def response(self, envelope: dict[str, object] | None = None) -> HttpResponse:
        said = msgspec.json.encode(envelope or {"error": self.body()})
        response = HttpResponse(said, status=self.status, content_type=JSON)
        if self.retry_after is not None:
            response["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        for name, value in self.headers.items():
            response[name] = value
        if self.status == 401:
            response["WWW-Authenticate"] = "Bearer"
        if self.generation:
            response["X-Generation-Id"] = self.generation
        return response


class Attempted(Struct, frozen=True):
    """One failed attempt, as the generation's record and the error's metadata tell it."""

    provider: str
    code: str
    status: int | None


def translate(error: BaseException) -> ApiError:
    """The one table from what went wrong to what is said."""
    match error:
        case ApiError():
            return error
        case KeyRevoked():
            return ApiError(401, "This API key is disabled, deleted or expired.")
        case TillAway() | OperationalError() | InterfaceError():
            return away(error)
        case HoldGone() | TillError():
            return internal(error)
        case exceptions.APIException():
            return ApiError(error.status_code, said(error))
        case Http404():
            return ApiError(404, str(error) or "Not found.")
        case PermissionDenied():
            return ApiError(403, str(error) or "Permission denied.")
        case RequestDataTooBig():
            # Of Django's own paths, whose bodies are forms and settings.
            return too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        case SuspiciousOperation():
            # Django's word for requests out of proportion, such as thousands of parameters.
            return ApiError(400, "Bad request.")
        case _:
            return internal(error)


def of_generation(public_id: str, error: Exception) -> ApiError:
    """The error as the client sees it, with the id under which the attempt is recorded."""
    said = translate(error)
    said.generation = public_id
    return said


def upstream(error: UpstreamError, provider: Provider, earlier: list[Attempted]) -> ApiError:
    """The last attempt's failure; the ones before are in the metadata."""
    status, error_type = UPSTREAM[error.kind]
    metadata: dict[str, object] = {"error_type": error_type, "provider_name": provider.name}
    if error.kind not in PRIVATE:
        metadata["raw"] = without_secret(error.raw or error.message, provider)
        if error.provider_code:
            metadata["provider_code"] = error.provider_code
    if earlier:
        metadata["previous_errors"] = earlier
    message = without_secret(error.message, provider) if error.kind not in PRIVATE else "Provider returned error"
    retry_after = error.retry_after
    if retry_after is None and status in (429, 503):
        retry_after = 1
    return ApiError(status, message, error_type=error_type, metadata=metadata, retry_after=retry_after)


def without_secret(text: str, provider: Provider) -> str:
    """Some servers repeat in an error what they were sent, the operator's key included."""
    return text.replace(provider.secret, "[key]") if provider.secret else text


def away(error: Exception) -> ApiError:
    logger.warning("PostgreSQL did not answer: %s", str(error).strip())
    return ApiError(503, "Keys and credits cannot be checked at the moment. Try again.", retry_after=5)


def too_large(limit: int) -> ApiError:
    """`limit` in bytes."""
    return ApiError(413, f"The request body is larger than {limit // 2**20} MiB.")


def internal(error: BaseException) -> ApiError:
    """Our own fault: the log has it, the client gets no detail."""
    logger.error("internal error", exc_info=error)
    return ApiError(500, "Internal error.")


def said(error: exceptions.APIException) -> str:
    """DRF's detail as one sentence that names the field."""
    detail = error.detail
    if isinstance(detail, dict):
        return "; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in detail.items())
    return " ".join(map(str, detail)) if isinstance(detail, list) else str(detail)


def handle(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's EXCEPTION_HANDLER."""
    return translate(error).response()


def is_api(path: str) -> bool:
    return path.startswith("/api/")


def server_error(request: HttpRequest) -> HttpResponse:
    if is_api(request.path):
        return ApiError(500, "Internal error.").response()
    return defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    is_large = isinstance(exception, RequestDataTooBig)
    if is_api(request.path):
        return translate(exception if is_large else ApiError(400, "Bad request.")).response()
    status = 413 if is_large else 400
    return render(request, f"{status}.html", status=status)
