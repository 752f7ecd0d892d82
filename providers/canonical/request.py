"""What is asked: a Struct for what Turnpike reads, beside the raw fields for the rest."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from providers.preferences import ProviderPreferences

Positive = Annotated[int, Meta(ge=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Effort = Literal["max", "xhigh", "high", "medium", "low", "minimal", "none"]
Verbosity = Literal["low", "medium", "high", "xhigh", "max"]
Family = Literal["openai", "anthropic", "responses"]
MetadataKey = Annotated[str, Meta(max_length=64)]
MetadataValue = Annotated[str, Meta(max_length=512)]


class ImageUrl(Struct, frozen=True):
    url: str
    detail: str | None = None


class File(Struct, frozen=True):
    filename: str | None = None
    # A URL or a data: URL.
    file_data: str | None = None
    file_id: str | None = None


class InputAudio(Struct, frozen=True):
    data: str | None = None
    format: str | None = None


class VideoUrl(Struct, frozen=True):
    url: str


class CacheControl(Struct, frozen=True, omit_defaults=True):
    type: str
    ttl: Literal["5m", "1h"] | None = None


class Part(Struct, frozen=True):
    type: str
    text: str | None = None
    image_url: ImageUrl | None = None
    file: File | None = None
    input_audio: InputAudio | None = None
    video_url: VideoUrl | None = None
    cache_control: CacheControl | None = None
    refusal: str | None = None


class FunctionCall(Struct, frozen=True):
    name: str
    arguments: str = ""


class ToolCall(Struct, frozen=True):
    """A whole call, in an answer or repeated by the client."""

    id: str
    function: FunctionCall
    type: str = "function"


class ReasoningDetail(Struct, omit_defaults=True):
    """A piece of reasoning that goes back to the provider unchanged on the next turn (§2.7); null is kept as null."""

    type: str
    summary: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET
    data: str | UnsetType | None = UNSET
    signature: str | UnsetType | None = UNSET
    tool_name: str | UnsetType | None = UNSET
    arguments: str | dict[str, Raw] | UnsetType | None = UNSET
    result: str | dict[str, Raw] | list[Raw] | UnsetType | None = UNSET
    tool_call_id: str | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    format: str | UnsetType | None = UNSET
    index: int | UnsetType | None = UNSET


class Message(Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    # Only told that they are there: answers have them, and clients send whole messages back.
    images: list[Raw] | None = None
    annotations: list[Raw] | None = None


class Function(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Raw] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True):
    """`function` is there when `type` says so."""

    type: str
    function: Function | None = None
    cache_control: CacheControl | None = None


class NamedFunction(Struct, frozen=True):
    name: str


class ToolChoice(Struct, frozen=True):
    type: str
    function: NamedFunction | None = None


class JsonSchema(Struct, frozen=True):
    name: str
    schema: dict[str, Raw] | None = None
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema", "grammar", "python"]
    json_schema: JsonSchema | None = None
    grammar: str | None = None


class Reasoning(Struct, frozen=True):
    effort: Effort | None = None
    max_tokens: Positive | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class Prediction(Struct, frozen=True):
    type: str
    content: str | list[Part]


class Audio(Struct, frozen=True):
    voice: str | dict[str, Raw] | None = None
    format: str | None = None


class Debug(Struct, frozen=True):
    echo_upstream_body: bool | None = None


class Plugin(Struct, frozen=True):
    id: str
    enabled: bool | None = None
    # Of `auto-router`: patterns with * of models that it may pick, and what they may cost.
    allowed_models: list[str] | None = None
    excluded_models: list[str] | None = None
    cost_tier: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


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
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Positive | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    reasoning_effort: Effort | None = None
    include_reasoning: bool | None = None
    verbosity: Verbosity | None = None
    prediction: Prediction | None = None
    modalities: list[Literal["text", "image", "audio"]] | None = None
    audio: Audio | None = None
    image_config: dict[str, Raw] | None = None
    cache_control: CacheControl | None = None
    prompt_cache_key: str | None = None
    plugins: list[Plugin] | None = None
    transforms: list[str] | None = None
    service_tier: str | None = None
    user: str | None = None
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)] | None = None
    trace: dict[str, Raw] | None = None
    debug: Debug | None = None
    stream_options: StreamOptions | None = None
    route: str | None = None
    preset: str | None = None

    @property
    def output_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def candidates(self) -> list[str]:
        """The models asked for, in order, once each."""
        if self.model and not self.models:
            return [self.model]
        first = [self.model] if self.model else []
        return list(dict.fromkeys(first + (self.models or [])))

    @property
    def thinking(self) -> Reasoning | None:
        """`reasoning`, or what its older words say; None when the client says nothing of it."""
        if self.reasoning is not None:
            return self.reasoning
        if self.reasoning_effort is not None:
            return Reasoning(effort=self.reasoning_effort, exclude=self.include_reasoning is False)
        if self.include_reasoning is not None:
            return Reasoning(enabled=self.include_reasoning or None, exclude=not self.include_reasoning)
        return None


class EmbeddingRequest(Struct, frozen=True):
    """`input` is a text, texts, one text's tokens or several texts' tokens."""

    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    model: str | None = None
    models: list[str] | None = None
    provider: ProviderPreferences | None = None
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None
    input_type: str | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str] | None:
        """None when there are tokens among it."""
        if isinstance(self.input, str):
            return [self.input]
        texts = [one for one in self.input if isinstance(one, str)]
        return texts if len(texts) == len(self.input) else None

    @property
    def count(self) -> int:
        """How many vectors are asked for."""
        return 1 if isinstance(self.input, str) or isinstance(self.input[0], int) else len(self.input)


class Request(Struct, frozen=True):
    """A parsed request and the raw JSON of each of its fields, in canonical form.

    `native` has the fields as the client wrote them where its skin is of another family than OpenAI's: what only that
    family knows may pass to a wire of the same one.
    """

    chat: ChatRequest
    fields: dict[str, Raw]
    family: Family = "openai"
    native: dict[str, Raw] = {}
    embedding: EmbeddingRequest | None = None
    """What is asked for instead of an answer: then the chat has no messages."""
