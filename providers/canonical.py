"""The canonical form: OpenRouter's chat schema. Skins translate to it, wires from it.

A request is a Struct for what we read, beside the raw fields for the rest; an answer is Structs that encode as they go.
UNSET members are left out: strict clients refuse null where they expect nothing.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

Positive = Annotated[int, Meta(ge=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


class ImageUrl(Struct, frozen=True):
    url: str


class File(Struct, frozen=True):
    file_data: str | None = None


class InputAudio(Struct, frozen=True):
    data: str | None = None


class Part(Struct, frozen=True):
    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    file: File | None = None
    input_audio: InputAudio | None = None


class Message(Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class ProviderPreferences(Struct, frozen=True):
    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    # Filters that routing does not know yet: refused, as ignoring them would break a promise to the client.
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    require_parameters: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[str] | None = None
    max_price: Raw | None = None


class ChatRequest(Struct, frozen=True):
    """What Turnpike itself reads of a request; ranges are the reference's (§2.1)."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str | None = None
    models: list[str] | None = None
    provider: ProviderPreferences | None = None
    stream: bool | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_a: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(ge=0, le=2)] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stop: str | list[str] | None = None
    tools: list[Raw] | None = None
    response_format: Raw | None = None
    user: str | None = None
    session_id: Annotated[str, Meta(max_length=256)] | None = None

    @property
    def output_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def candidates(self) -> list[str]:
        """The models asked for, in order, once each."""
        first = [self.model] if self.model else []
        return list(dict.fromkeys(first + (self.models or [])))


class Request(Struct, frozen=True):
    """A parsed request and the raw JSON of each of its fields."""

    chat: ChatRequest
    fields: dict[str, Raw]


class Usage(Struct, frozen=True):
    """Tokens by the provider's count. `prompt` holds cached and written ones, `completion` the reasoning ones."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    is_estimated: bool = False


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


class ChunkChoice(Struct):
    index: int = 0
    delta: Delta = field(default_factory=Delta)
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: Raw = Raw(b"null")


class Answer(Struct):
    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: list[Raw] | UnsetType = UNSET


class Choice(Struct):
    index: int
    finish_reason: FinishReason
    native_finish_reason: str | None
    message: Answer
    logprobs: Raw = Raw(b"null")


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


Event = Content | UsageReport | Failure


class Completion(Struct, frozen=True):
    """A whole answer that was not streamed."""

    choices: list[Choice]
    usage: Usage | None
    upstream_id: str | None = None
    system_fingerprint: str | None = None
