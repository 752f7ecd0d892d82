"""Answers of /messages (§2B.2)."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.api.shapes.account import Usd


class MessageUsage(Struct):
    input_tokens: Annotated[int, Meta(description="Neither read from the cache nor written to it.")]
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cost: Annotated[float, Meta(description="What was charged, USD.")]
    is_byok: bool
    cost_details: dict[str, Usd | None]


class MessageAnswer(Struct):
    id: Annotated[str, Meta(description="`gen-…`, as in X-Generation-Id.")]
    type: Literal["message"]
    role: Literal["assistant"]
    model: Annotated[str, Meta(description="That answered.")]
    provider: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage


class MessageEvent(Struct):
    """The `data:` of an event; its name is in `type` too."""

    type: Literal[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    ]


class MessageErrorBody(Struct):
    type: str
    message: str
    error_type: str


class MessageError(Struct):
    type: Literal["error"]
    error: MessageErrorBody
    request_id: str | None
    metadata: dict[str, Any] | UnsetType = UNSET
