"""What is answered, whole or as events of a stream. Structs encode as they go; UNSET members are left out."""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

from providers.canonical.request import Family, ReasoningDetail, ToolCall
from providers.errors import Kind

NULL = Raw(b"null")
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


class Details(Struct, frozen=True):
    """Tokens of kinds that few answers have, each part of its whole, and what is counted beside tokens."""

    cache_write_1h: int = 0
    """Of `cache_write`, those kept for an hour."""
    audio: int = 0
    cached_audio: int = 0
    """Of `cached` and of `audio`."""
    image_tokens: int = 0
    """Of the prompt, none that were `cached`."""
    output_audio: int = 0
    output_image_tokens: int = 0
    images: int = 0
    output_images: int = 0
    searches: int = 0


class Usage(Struct, frozen=True):
    """Tokens by the provider's count. `prompt` holds cached and written ones, `completion` the reasoning ones."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    is_estimated: bool = False
    details: Details | None = None


class FunctionDelta(Struct, omit_defaults=True):
    name: str | UnsetType | None = UNSET
    arguments: str | UnsetType | None = UNSET


class ToolCallDelta(Struct, omit_defaults=True):
    function: FunctionDelta
    id: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    # Not a default of 0: the first call's index must be on the wire.
    index: int | UnsetType | None = UNSET


class Delta(Struct):
    """Wires of OpenAI's family are decoded into it as they are; the adapter then fills and clears what differs."""

    role: str | None = "assistant"
    content: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    # Another word for reasoning on some wires; never on ours.
    reasoning_content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType | None = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType | None = UNSET
    images: list[Raw] | UnsetType | None = UNSET
    audio: dict[str, Raw] | UnsetType | None = UNSET
    annotations: list[Raw] | UnsetType | None = UNSET


class ChunkChoice(Struct):
    index: int = 0
    delta: Delta = field(default_factory=Delta)
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: Raw = NULL


class Answer(Struct):
    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET
    images: list[Raw] | UnsetType = UNSET
    audio: dict[str, Raw] | UnsetType = UNSET
    annotations: list[Raw] | UnsetType = UNSET


class Choice(Struct):
    index: int
    finish_reason: FinishReason
    native_finish_reason: str | None
    message: Answer
    logprobs: Raw = NULL


class Content(Struct, frozen=True):
    """A stream's event: something for the client."""

    choices: list[ChunkChoice]
    upstream_id: str | None = None


class UsageReport(Struct, frozen=True):
    """A stream's event: the provider's count."""

    usage: Usage


class Failure(Struct, frozen=True):
    """A stream's event: the provider says that it fails."""

    message: str
    code: str | None = None
    raw: str = ""
    kind: Kind = Kind.UNAVAILABLE


class Native(Struct, frozen=True):
    """What only a skin of the same family has words for: a block or item, piece by piece, or members of the answer.

    As a stream's event it follows what came before it: `splits` is where a text ends and another begins, `rest` are
    members of a stream's end, or of a whole answer.
    """

    family: Family
    step: Literal["begins", "goes_on", "ends", "splits", "rest"]
    members: dict[str, Raw]


Event = Content | UsageReport | Native | Failure


class Completion(Struct, frozen=True):
    """A whole answer that was not streamed."""

    choices: list[Choice]
    usage: Usage | None
    upstream_id: str | None = None
    system_fingerprint: str | None = None
    vectors: list[Raw] = []
    """Of embeddings, which have no choices."""
    native: Native | None = None
