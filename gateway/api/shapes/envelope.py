"""Errors (§3.1)."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Message = Annotated[str, Meta(min_length=1)]


class Availability(Struct):
    """Why no endpoint was left."""

    code: str
    retryable: bool
    requested_models: list[str]
    docs_url: str
    excluded_by: list[str] | UnsetType = UNSET


class ErrorBody(Struct):
    code: Annotated[int, Meta(description="The HTTP status.")]
    message: Message
    metadata: Annotated[dict[str, Any], Meta(description="`error_type`, and what else is known.")]
    availability: Availability | UnsetType = UNSET


class Error(Struct):
    error: ErrorBody
