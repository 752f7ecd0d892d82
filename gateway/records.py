"""The row of a generation: opened with the hold, completed by the settlement."""

import time
from datetime import UTC, datetime

from gateway.generation import MILLISECONDS, Generation
from gateway.particulars import particulars
from providers.canonical import Usage


def opening(generation: Generation) -> dict[str, object]:
    origin, chat = generation.origin, generation.request.chat
    return {
        "api_key_id": generation.caller.key_id,
        "api_type": "embeddings" if generation.request.embedding else "completions",
        "requested_model": clean(chat.candidates[0], 200),
        "streamed": generation.is_streamed,
        "created_at": datetime.now(UTC),
        "http_referer": clean(origin.http_referer, 500),
        "app_title": clean(origin.app_title, 200),
        "user_agent": clean(origin.user_agent, 500),
        "session_id": clean(chat.session_id or origin.session_id, 256),
        "external_user": clean(chat.user, 256),
    }


def closing(generation: Generation, outcome: str, usage: Usage, error: str) -> dict[str, object]:
    now = time.monotonic()
    record: dict[str, object] = {
        "outcome": outcome,
        "attempts": generation.attempts,
        "error": clean(error, 500) or "",
    }
    endpoint = generation.endpoint
    if endpoint is None or endpoint.price is None:
        return record
    record |= {
        "model": endpoint.model,
        "provider": endpoint.provider.slug,
        "provider_name": endpoint.provider.name,
        "endpoint_id": endpoint.id,
        "endpoint_tag": endpoint.tag,
        "price_id": endpoint.price.id,
        "is_estimated": usage.is_estimated,
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "reasoning_tokens": usage.reasoning,
        "cached_tokens": usage.cached,
        "cache_write_tokens": usage.cache_write,
        "finish_reason": generation.finish_reason,
        "native_finish_reason": clean(generation.native_finish_reason, 64),
        "latency_ms": int(((generation.first_token or now) - generation.started) * MILLISECONDS),
        "generation_ms": int((now - generation.started) * MILLISECONDS),
        "upstream_id": clean(generation.upstream_id, 200),
    }
    return record | particulars(generation.size, endpoint, usage, generation.drawn)


def clean(text: str | None, limit: int) -> str | None:
    """Fits its column; PostgreSQL's text holds no NUL."""
    return text[:limit].replace("\0", "") if text else None
