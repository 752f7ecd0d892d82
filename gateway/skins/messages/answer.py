"""Messages as they go out: whole ones, usage, errors."""

from typing import Any

import msgspec

from billing.money import NANO_PER_USD
from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.routing import told
from gateway.skins.blocks import Block, Page, blocks_of, pages_of
from gateway.skins.reasoning import sealed, signature
from gateway.skins.usage import cost_details
from providers import surrogates
from providers.canonical import Answer, Completion, Usage
from providers.snapshot import Endpoint

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
# A provider's own word that says more than the canonical one.
NATIVE = frozenset({"stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded", "compaction"})
ERROR_TYPES = {
    "authentication": "authentication_error",
    "permission_denied": "permission_error",
    "payment_required": "billing_error",
    "not_found": "not_found_error",
    "image_not_found": "not_found_error",
    "rate_limit_exceeded": "rate_limit_error",
    "provider_overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "payload_too_large": "request_too_large",
    "context_length_exceeded": "invalid_request_error",
    "max_tokens_exceeded": "invalid_request_error",
    "token_limit_exceeded": "invalid_request_error",
    "string_too_long": "invalid_request_error",
    "content_policy_violation": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "invalid_prompt": "invalid_request_error",
    "invalid_image": "invalid_request_error",
    "unprocessable": "invalid_request_error",
}

encode = msgspec.json.Encoder().encode
decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def message(generation: Generation, endpoint: Endpoint, found: Completion, charge: int) -> bytes:
    native = found.native
    is_own = native is not None and native.family == generation.request.family
    own = native.members if native is not None and is_own else {}
    return encode(
        {
            **opening(generation.public_id, endpoint.model, endpoint.provider.name),
            "content": own.get("content") or content(found.choices[0].message),
            **{name: raw for name, raw in own.items() if name != "content"},
            "stop_reason": stop_reason(generation),
            "usage": usage(generation, endpoint, charge),
            **told.beside(generation),
        }
    )


def content(said: Answer) -> list[dict[str, Any]]:
    """Pages are cited by the last text: what parts of an answer they belong to, its blocks do not show."""
    blocks = [rendered(block) for block in blocks_of(said)]
    texts = [block for block in blocks if block["type"] == "text"]
    if texts and (pages := pages_of(said.annotations)):
        texts[-1]["citations"] = [citation(page) for page in pages]
    return blocks


def citation(page: Page) -> dict[str, Any]:
    """As Anthropic's own web search cites; what it has encrypted for itself nobody else has."""
    return {
        "type": "web_search_result_location",
        "url": page.url,
        "title": page.title,
        "cited_text": page.content or "",
        "encrypted_index": "",
    }


def opening(public_id: str, model: str, provider_name: str) -> dict[str, Any]:
    return {
        "id": public_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "provider": provider_name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
    }


def rendered(block: Block) -> dict[str, Any]:
    match block.kind:
        case "thinking" | "summary":
            return {"type": "thinking", "thinking": block.text, "signature": signature(block)}
        case "encrypted":
            return {"type": "redacted_thinking", "data": sealed(block)}
        case "call":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments(block.text)}
        case _:
            return {"type": "text", "text": block.text, "citations": None}


def arguments(text: str) -> dict[str, Any]:
    """An object, whatever the model wrote."""
    try:
        return surrogates.lenient(decode_object, text.encode()) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        return {"raw_arguments": text}


def stop_reason(generation: Generation) -> str:
    native = generation.native_finish_reason
    return native if native in NATIVE else STOP_REASONS.get(generation.finish_reason or "", "end_turn")


def usage(generation: Generation, endpoint: Endpoint, charge: int) -> dict[str, Any]:
    """`input_tokens` are those that were neither read from the cache nor written to it."""
    count = generation.count()
    return {
        "input_tokens": count.prompt - count.cached - count.cache_write,
        "output_tokens": count.completion,
        "cache_creation_input_tokens": count.cache_write,
        "cache_read_input_tokens": count.cached,
        "cache_creation": cache_creation(count),
        "output_tokens_details": {"thinking_tokens": count.reasoning},
        "server_tool_use": None,
        "service_tier": endpoint.service_tier or "standard",
        "inference_geo": None,
        "cost": charge / NANO_PER_USD,
        "is_byok": False,
        "cost_details": cost_details(count, endpoint),
    }


def cache_creation(count: Usage) -> dict[str, int] | None:
    """By how long it is kept, where the provider tells of more than the usual five minutes."""
    if count.details is None or not count.details.cache_write_1h:
        return None
    hour = count.details.cache_write_1h
    return {"ephemeral_5m_input_tokens": count.cache_write - hour, "ephemeral_1h_input_tokens": hour}


def envelope(error: ApiError, generation: str, routing: dict[str, object] | None = None) -> dict[str, object]:
    """`routing`: of a stream, whose error does not know it."""
    return {
        "type": "error",
        "error": {
            "type": ERROR_TYPES.get(error.error_type, "invalid_request_error" if error.status == 405 else "api_error"),
            "message": error.message,
            "error_type": error.error_type,
        },
        "metadata": error.body()["metadata"],
        "request_id": generation or None,
        **(told.beside_error(error) if routing is None or error.status == 500 else routing),
    }
