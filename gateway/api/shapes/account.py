"""Keys, credits, generations, activity (§1.6 to §1.10)."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from accounts.models import Window

Usd = Annotated[float, Meta(description="USD")]


class RateLimit(Struct):
    requests: int
    interval: str
    note: str


class DailyRequests(Struct):
    used: int
    limit: int
    remaining: int


class Spending(Struct):
    limit: Usd | None
    limit_reset: Window | None
    limit_remaining: Usd | None
    include_byok_in_limit: bool
    usage: Usd
    usage_daily: Usd
    usage_weekly: Usd
    usage_monthly: Usd
    byok_usage: Usd
    byok_usage_daily: Usd
    byok_usage_weekly: Usd
    byok_usage_monthly: Usd


class KeyBudget(Struct):
    budget_id: str | None
    guardrail_id: str | None
    include_byok: bool
    limit_usd: Usd
    spend_usd: Usd
    remaining_usd: Usd
    reset_interval: Window | None
    resets_at: datetime | None
    scope: Literal["key_limit", "member", "workspace"]


class KeyInfo(Spending):
    label: str
    is_free_tier: bool
    is_management_key: bool
    is_provisioning_key: bool
    creator_user_id: str | None
    expires_at: datetime | None
    rate_limit: RateLimit
    allowed_data_regions: list[str]
    budgets: list[KeyBudget]
    effective_budget: KeyBudget | None
    free_model_daily_requests: DailyRequests
    organization_id: str | None
    workspace_id: str | None


class OneKeyInfo(Struct):
    data: KeyInfo


class Key(Spending):
    hash: str
    label: str
    name: str
    disabled: bool
    created_at: datetime
    updated_at: datetime | None
    expires_at: datetime | None
    creator_user_id: str | None
    external_user: str | None
    last_used_at: datetime | None
    workspace_id: str


class OneKey(Struct):
    data: Key


class KeyListing(Struct):
    data: list[Key]


class CreatedKey(Struct):
    data: Key
    key: Annotated[str, Meta(description="The key itself, shown this once.")]


class Deleted(Struct):
    deleted: Literal[True]


class ExchangedKey(Struct):
    key: str
    user_id: str | None


class Code(Struct):
    id: str
    app_id: int
    created_at: datetime


class CreatedCode(Struct):
    data: Code


class Credits(Struct):
    total_credits: Usd
    total_usage: Usd


class CreditsAnswer(Struct):
    data: Credits


class Attempt(Struct):
    endpoint_id: str
    provider_name: str
    model_permaslug: str
    status: int | None
    latency: int
    is_byok: bool


class Generation(Struct):
    id: str
    api_type: str | None
    app_id: int | None
    cache_discount: float | None
    cancelled: bool | None
    created_at: datetime
    data_region: str
    external_user: str | None
    finish_reason: str | None
    generation_time: float | None
    http_referer: str | None
    is_byok: bool
    latency: float | None
    model: str
    moderation_latency: float | None
    native_finish_reason: str | None
    native_tokens_prompt: int | None
    native_tokens_completion: int | None
    native_tokens_reasoning: int | None
    native_tokens_cached: int | None
    native_tokens_completion_images: int | None
    num_fetches: int | None
    num_input_audio_prompt: int | None
    num_media_prompt: int | None
    num_media_completion: int | None
    num_search_results: int | None
    origin: str
    preset_id: str | None
    provider_name: str | None
    provider_responses: list[Attempt] | None
    router: str | None
    service_tier: str | None
    session_id: str | None
    streamed: bool | None
    tokens_prompt: int | None
    tokens_completion: int | None
    total_cost: Usd
    upstream_id: str | None
    upstream_inference_cost: Usd | None
    usage: Usd
    user_agent: str | None
    web_search_engine: str | None
    workspace_id: str | None


class OneGeneration(Struct):
    data: Generation


class ContentInput(Struct):
    messages: list[dict[str, Any]] | UnsetType = UNSET
    prompt: str | list[str] | UnsetType = UNSET


class ContentOutput(Struct):
    completion: str | None
    reasoning: str | None


class ContentError(Struct):
    message: str


class Content(Struct):
    input: ContentInput
    output: ContentOutput
    error: ContentError | UnsetType = UNSET


class OneContent(Struct):
    data: Content


class ActivityRow(Struct):
    date: date
    model: str
    model_permaslug: str
    endpoint_id: str
    provider_name: str
    usage: Usd
    byok_usage_inference: Usd
    requests: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    workspace_id: str | UnsetType = UNSET


class Activity(Struct):
    data: list[ActivityRow]
