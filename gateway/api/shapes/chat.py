"""Answers of /chat/completions (§2.6 to §2.10)."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.api.shapes.account import Usd
from gateway.api.shapes.envelope import ErrorBody

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


class PromptDetails(Struct):
    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int
    video_tokens: int


class CompletionDetails(Struct):
    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int


class CostDetails(Struct):
    upstream_inference_cost: Usd | None
    upstream_inference_prompt_cost: Usd
    upstream_inference_completions_cost: Usd


class ChatUsage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: Annotated[float, Meta(description="What was charged, USD.")]
    is_byok: bool
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
    cost_details: CostDetails


class CalledFunction(Struct):
    name: str
    arguments: Annotated[str, Meta(description="JSON")]


class CalledTool(Struct):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(Struct):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning: str | None
    tool_calls: list[CalledTool] | UnsetType = UNSET
    reasoning_details: list[dict[str, Any]] | UnsetType = UNSET
    images: list[dict[str, Any]] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET
    annotations: list[dict[str, Any]] | UnsetType = UNSET


class ChatChoice(Struct):
    index: int
    finish_reason: FinishReason
    native_finish_reason: str | None
    message: ChatMessage
    logprobs: dict[str, Any] | None


class ChatCompletion(Struct):
    id: Annotated[str, Meta(description="`gen-…`, as in X-Generation-Id.")]
    object: Literal["chat.completion"]
    created: int
    model: Annotated[str, Meta(description="That answered.")]
    provider: str
    system_fingerprint: str | None
    choices: list[ChatChoice]
    usage: ChatUsage


class ChunkDelta(Struct):
    role: str | UnsetType | None = UNSET
    content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET
    reasoning_details: list[dict[str, Any]] | UnsetType = UNSET


class ChatChunkChoice(Struct):
    index: int
    delta: ChunkDelta
    finish_reason: FinishReason | None
    native_finish_reason: str | None
    logprobs: dict[str, Any] | None


class ChatChunk(Struct):
    """One `data:` of the stream; the last one before `[DONE]` has the usage."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    provider: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
