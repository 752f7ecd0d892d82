"""Models, endpoints, providers (§1.2 to §1.5)."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Amount = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="USD per token or unit, a plain decimal.")]


class Pricing(Struct):
    prompt: Amount
    completion: Amount
    request: Amount | UnsetType = UNSET
    image: Amount | UnsetType = UNSET
    input_cache_read: Amount | UnsetType = UNSET
    input_cache_write: Amount | UnsetType = UNSET
    internal_reasoning: Amount | UnsetType = UNSET


class Architecture(Struct):
    modality: str | None
    input_modalities: list[str]
    output_modalities: list[str]
    tokenizer: str
    instruct_type: str | None


class TopProvider(Struct):
    is_moderated: bool
    context_length: int | None
    max_completion_tokens: int | None


class ModelLinks(Struct):
    details: str


class AliasTarget(Struct):
    name: str
    slug: str


class Model(Struct):
    id: str
    canonical_slug: str
    name: str
    created: int
    context_length: int | None
    architecture: Architecture
    pricing: Pricing
    top_provider: TopProvider
    per_request_limits: dict[str, int] | None
    supported_parameters: list[str]
    default_parameters: dict[str, float | None] | None
    supported_voices: list[str] | None
    links: ModelLinks
    description: str | UnsetType = UNSET
    hugging_face_id: str | UnsetType | None = UNSET
    knowledge_cutoff: str | UnsetType | None = UNSET
    alias_target: Annotated[AliasTarget | UnsetType, Meta(description="Of `~author/family-latest` only.")] = UNSET


class ListLinks(Struct):
    next: str | None


class ModelList(Struct):
    data: list[Model]
    links: ListLinks
    total_count: int


class OneModel(Struct):
    data: Model


class Count(Struct):
    count: int


class ModelCount(Struct):
    data: Count


class Percentiles(Struct):
    p50: float
    p75: float
    p90: float
    p99: float


class Endpoint(Struct):
    name: str
    model_id: str
    model_name: str
    context_length: int
    pricing: Pricing
    provider_name: str
    tag: str
    quantization: str | None
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    supported_parameters: list[str]
    uptime_last_5m: float | None
    uptime_last_30m: float | None
    uptime_last_1d: float | None
    latency_last_30m: Percentiles | None
    throughput_last_30m: Percentiles | None
    supports_implicit_caching: bool
    native_tools: dict[str, Any]
    service_tier: str | None
    supports_diarization: bool
    supports_tool_choice: dict[str, bool]
    status: Literal[0, -1, -2, -3, -5, -10] | UnsetType = UNSET


class EndpointList(Struct):
    data: list[Endpoint]


class ModelEndpoints(Struct):
    id: str
    name: str
    created: int
    description: str
    architecture: Architecture
    endpoints: list[Endpoint]


class OneModelEndpoints(Struct):
    data: ModelEndpoints


class Provider(Struct):
    name: str
    slug: str
    privacy_policy_url: str | None
    terms_of_service_url: str | None
    status_page_url: str | None
    headquarters: str | None
    datacenters: list[str] | None


class ProviderList(Struct):
    data: list[Provider]
