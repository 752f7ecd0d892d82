"""GET /key, /credits, /generation: what a key may know of itself, its organization's money and its requests."""

from functools import cache
from typing import Any

import msgspec
import redis
from django.conf import settings
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import ApiKey
from billing import budgets, contents
from billing.budgets import BudgetUsage
from billing.generations import private_id, public_id
from billing.models import Generation, GenerationContent
from billing.money import NANO_PER_USD
from billing.wallets import wallet_of
from gateway.api.authentication import required
from gateway.api.key_budgets import effective, key_budgets
from gateway.api.openapi import describe, text
from gateway.api.shapes.account import CreditsAnswer, OneContent, OneGeneration, OneKeyInfo
from gateway.errors import ApiError
from gateway.rate_limits import free_today
from gateway.routing.routers import AUTO, FREE


@cache
def redis_client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


ROUTERS = (AUTO, FREE)
NOT_LIMITED = {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."}


@describe("Account", "What the key may spend and has spent", OneKeyInfo)
@api_view(["GET"])
def key(request: Request) -> Response:
    """§1.6; every member is required by the published client."""
    found = required(request)
    bounds = key_budgets(found)
    return Response(
        {
            "data": {
                "label": found.label,
                **spending(found, budgets.usage(found.pk)),
                "is_free_tier": wallet_of(found.organization_id).credit <= 0,
                "is_management_key": found.is_management,
                "is_provisioning_key": found.is_management,
                "creator_user_id": found.created_by_id and str(found.created_by_id),
                "expires_at": found.expires_at,
                "rate_limit": NOT_LIMITED,
                "allowed_data_regions": ["global"],
                "budgets": bounds,
                "effective_budget": effective(bounds),
                "free_model_daily_requests": free_today(redis_client(), found.organization_id),
                "organization_id": str(found.organization_id),
                "workspace_id": None,
            }
        }
    )


def spending(found: ApiKey, spent: BudgetUsage) -> dict[str, Any]:
    """A key's limit and use, in USD."""
    limit = found.limit_nano
    remaining = None if limit is None else max(limit - spent.within(found.limit_reset), 0)
    return {
        "limit": usd(limit),
        "limit_reset": found.limit_reset or None,
        "limit_remaining": usd(remaining),
        "include_byok_in_limit": False,
        "usage": usd(spent.total),
        "usage_daily": usd(spent.day),
        "usage_weekly": usd(spent.week),
        "usage_monthly": usd(spent.month),
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
    }


@describe("Account", "The organization's credits", CreditsAnswer)
@api_view(["GET"])
def credits(request: Request) -> Response:
    found = required(request)
    wallet = wallet_of(found.organization_id)
    return Response({"data": {"total_credits": usd(wallet.credit), "total_usage": usd(wallet.spent)}})


@describe("Account", "One request and its outcome", OneGeneration, query=[text("id", "`gen-…`", required=True)])
@api_view(["GET"])
def generation(request: Request) -> Response:
    found = required(request)
    return Response({"data": generation_row(own_generation(request, found), found)})


def own_generation(request: Request, found: ApiKey) -> Generation:
    public = request.query_params.get("id", "")
    if not public:
        raise ApiError(400, "id: this parameter is required.")
    own = access.in_organization(Generation.objects.all(), found.organization_id)
    generation_id = private_id(public)
    row = own.filter(id=generation_id).first() if generation_id else None
    if row is None:
        raise ApiError(404, f"Generation {public[:80]} not found.")
    return row


@describe(
    "Account", "What was asked and answered, if the organization keeps it", OneContent, query=[text("id", "`gen-…`")]
)
@api_view(["GET"])
def generation_content(request: Request) -> Response:
    found = required(request)
    row = own_generation(request, found)
    own = access.in_organization(GenerationContent.objects.all(), found.organization_id)
    content = own.filter(pk=row.pk).first()
    if content is None and not found.organization.keeps_content:
        raise ApiError(403, "This organization does not keep prompts and answers; its settings can change that.")
    if content is None:
        raise ApiError(404, "Of this generation no content was kept.")
    return Response({"data": msgspec.json.decode(contents.read(content))})


def generation_row(row: Generation, found: ApiKey) -> dict[str, Any]:
    """§1.8; nearly all keys are required, most may be null."""
    cost = usd(row.charge)
    return {
        "id": public_id(row.id),
        "api_type": row.api_type,
        "app_id": None,
        "cache_discount": usd(row.cache_discount),
        "cancelled": row.outcome == Generation.Outcome.CANCELLED,
        "created_at": row.created_at,
        "data_region": "global",
        "external_user": row.external_user,
        "finish_reason": row.finish_reason,
        "generation_time": row.generation_ms,
        "http_referer": row.http_referer,
        "is_byok": False,
        "latency": row.latency_ms,
        "model": row.model,
        "moderation_latency": None,
        "native_finish_reason": row.native_finish_reason,
        "native_tokens_prompt": row.prompt_tokens,
        "native_tokens_completion": row.completion_tokens,
        "native_tokens_reasoning": row.reasoning_tokens,
        "native_tokens_cached": row.cached_tokens,
        "native_tokens_completion_images": row.image_tokens or 0,
        "num_fetches": None,
        "num_input_audio_prompt": row.audio_prompt or 0,
        "num_media_prompt": row.media_prompt or 0,
        "num_media_completion": row.media_completion or 0,
        "num_search_results": None,
        "origin": row.http_referer or "",
        "preset_id": None,
        "provider_name": row.provider_name or None,
        "provider_responses": [response(attempt) for attempt in row.attempts],
        "router": row.requested_model if row.requested_model in ROUTERS else None,
        "service_tier": row.service_tier,
        "session_id": row.session_id,
        "streamed": row.streamed,
        "tokens_prompt": row.prompt_tokens,
        "tokens_completion": row.completion_tokens,
        "total_cost": cost,
        "upstream_id": row.upstream_id,
        "upstream_inference_cost": None,
        "usage": cost,
        "user_agent": row.user_agent,
        "web_search_engine": None,
        "workspace_id": None,
    }


def response(attempt: dict[str, Any]) -> dict[str, Any]:
    """What it cost us is ours to know."""
    return {name: value for name, value in attempt.items() if name != "cost"} | {"is_byok": False}


def usd(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO_PER_USD
