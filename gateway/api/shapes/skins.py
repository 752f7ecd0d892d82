"""Answers of /responses, /completions and /embeddings (§2B.1, §2B.3, §1.11)."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.api.shapes.chat import ChatUsage, FinishReason
from gateway.api.shapes.envelope import ErrorBody


class ResponseUsage(Struct):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int
    cost: Annotated[float, Meta(description="What was charged, USD.")]
    is_byok: bool


class ResponseObject(Struct):
    id: Annotated[str, Meta(description="`gen-…`, as in X-Generation-Id.")]
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    model: Annotated[str, Meta(description="That answered.")]
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    output: list[dict[str, Any]]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    usage: ResponseUsage | UnsetType = UNSET


class ResponseEvent(Struct):
    """The `data:` of an event; its name is in `type` too."""

    type: str
    sequence_number: int


class TextChoice(Struct):
    text: str
    index: int
    finish_reason: FinishReason | None
    native_finish_reason: str | None
    logprobs: dict[str, Any] | None


class TextCompletion(Struct):
    """Whole, or one `data:` of a stream, of which the last before `[DONE]` has the usage."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    provider: str
    choices: list[TextChoice]
    usage: ChatUsage | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET


class Embedding(Struct):
    object: Literal["embedding"]
    index: int
    embedding: Annotated[list[float] | str, Meta(description="Base64 of little-endian float32 where it was asked for.")]


class EmbeddingUsage(Struct):
    prompt_tokens: int
    total_tokens: int
    cost: Annotated[float, Meta(description="What was charged, USD.")]


class EmbeddingList(Struct):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    id: str
    usage: EmbeddingUsage
