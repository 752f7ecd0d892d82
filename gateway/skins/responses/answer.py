"""Responses as they go out: the object, its items, usage."""

import time
from typing import Any

import msgspec
from msgspec import Raw, Struct

from billing.money import NANO_PER_USD
from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.routing import told
from gateway.skins.blocks import REASONING, Block, Page, blocks_of, given, pages_of
from gateway.skins.usage import cost_details
from providers.canonical import NULL, Choice, Completion
from providers.snapshot import Endpoint

# What the client said is repeated, else what holds without its word.
REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "temperature": None,
    "top_p": None,
    "presence_penalty": None,
    "frequency_penalty": None,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": None,
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
    "user": None,
}
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# Of a failed response. All others are `server_error`.
ERROR_CODES = {
    "rate_limit_exceeded": "rate_limit_exceeded",
    "context_length_exceeded": "invalid_prompt",
    "invalid_request": "invalid_prompt",
    "invalid_prompt": "invalid_prompt",
    "content_policy_violation": "image_content_policy_violation",
}
LENGTH_ERRORS = frozenset({"context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded", "string_too_long"})

encode = msgspec.json.Encoder().encode


class Logprobs(Struct, frozen=True):
    content: list[Raw] | None = None


decode_logprobs = msgspec.json.Decoder(Logprobs | None).decode


def response(generation: Generation, endpoint: Endpoint, found: Completion, charge: int) -> bytes:
    native = found.native
    if native is not None and native.family == generation.request.family:
        output: Any = native.members["output"]
    else:
        output = items(generation, found.choices[0])
    return encode({**opening(generation, endpoint.model), **closing(generation, endpoint, charge), "output": output})


def items(generation: Generation, choice: Choice) -> list[dict[str, Any]]:
    groups: list[list[Block]] = []
    blocks = blocks_of(choice.message)
    texts = [block for block in blocks if block.kind == "text"]
    if texts:
        texts[-1].cites = [citation(page) for page in pages_of(choice.message.annotations)]
        texts[-1].logprobs = tokens_of(choice.logprobs)
    for block in blocks:
        if groups and joins(groups[-1], block):
            groups[-1].append(block)
        else:
            groups.append([block])
    return [rendered(group, item_id(generation, group[0]), "completed") for group in groups]


def tokens_of(logprobs: Raw) -> list[Raw]:
    """Each token's, which are written as in chat completions."""
    try:
        found = decode_logprobs(logprobs)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return (found.content or []) if found else []


def citation(page: Page) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url": page.url,
        "title": page.title or page.url,
        "start_index": page.start_index or 0,
        "end_index": page.end_index or 0,
    }


def opening(generation: Generation, model: str) -> dict[str, Any]:
    native = generation.request.native
    return {
        "id": generation.public_id,
        "object": "response",
        "created_at": generation.created,
        "completed_at": None,
        "model": model,
        "status": "in_progress",
        "output": [],
        "error": None,
        "incomplete_details": None,
        "store": False,
        "background": False,
        "previous_response_id": None,
        "service_tier": "default",
        **{name: said(native.get(name), default) for name, default in REPEATED.items()},
    }


def said(raw: Raw | None, default: Any) -> Any:
    return default if raw is None or raw == NULL else raw


def closing(generation: Generation, endpoint: Endpoint, charge: int) -> dict[str, Any]:
    reason = INCOMPLETE.get(generation.finish_reason or "")
    return {
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else int(time.time()),
        "incomplete_details": {"reason": reason} if reason else None,
        "usage": usage(generation, endpoint, charge),
        "service_tier": endpoint.service_tier or "default",
        **told.beside(generation),
    }


def failing(generation: Generation, error: ApiError) -> dict[str, Any]:
    """A length that did not fit is an answer that is incomplete; everything else has failed."""
    routing = {} if error.status == 500 else told.beside(generation)
    if error.error_type in LENGTH_ERRORS:
        return {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, **routing}
    code = ERROR_CODES.get(error.error_type, "server_error")
    return {
        "status": "failed",
        "error": {"code": code, "message": error.message},
        "error_type": error.error_type,
        "metadata": {},
        **routing,
    }


def usage(generation: Generation, endpoint: Endpoint, charge: int) -> dict[str, Any]:
    count = generation.count()
    details = cost_details(count, endpoint)
    return {
        "input_tokens": count.prompt,
        "input_tokens_details": {"cached_tokens": count.cached, "cache_write_tokens": count.cache_write},
        "output_tokens": count.completion,
        "output_tokens_details": {"reasoning_tokens": count.reasoning},
        "total_tokens": count.prompt + count.completion,
        "cost": charge / NANO_PER_USD,
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_input_cost": details["upstream_inference_prompt_cost"],
            "upstream_inference_output_cost": details["upstream_inference_completions_cost"],
        },
    }


def joins(group: list[Block], block: Block) -> bool:
    """Whether a block belongs to the item that the ones before it make."""
    if group[0].kind in ("text", "refusal"):
        return block.kind in ("text", "refusal")
    kinds = {one.kind for one in group}
    if not (kinds <= REASONING and block.kind in REASONING) or "encrypted" in kinds:
        return False
    known, own = group[0].detail, block.detail
    if known is not None and own is not None and known.id and own.id and known.id != own.id:
        return False
    return block.kind == "encrypted" or (block.kind == "summary" and "thinking" not in kinds)


def item_id(generation: Generation, block: Block) -> str:
    if block.kind in REASONING and block.detail is not None and (own := given(block.detail.id)):
        return own
    prefix = "rs" if block.kind in REASONING else "fc" if block.kind == "call" else "msg"
    return f"{prefix}_{generation.public_id.removeprefix('gen-')}_{block.place}"


def rendered(group: list[Block], id: str, status: str) -> dict[str, Any]:
    first = group[0]
    if first.kind == "call":
        return {
            "type": "function_call",
            "id": id,
            "call_id": first.id,
            "name": first.name,
            "arguments": first.text,
            "status": status,
        }
    if first.kind in REASONING:
        return reasoning(group, id, status)
    content = [part(block) for block in group]
    return {"type": "message", "id": id, "role": "assistant", "status": status, "content": content}


def reasoning(group: list[Block], id: str, status: str) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "reasoning", "id": id, "status": status}
    item["summary"] = [part(block) for block in group if block.kind == "summary"]
    content = [part(block) for block in group if block.kind == "thinking"]
    if content:
        item["content"] = content
    for block in group:
        if (detail := block.detail) is None:
            continue
        for name, value in (
            ("encrypted_content", given(detail.data)),
            ("signature", given(detail.signature)),
            ("format", given(detail.format)),
        ):
            if value:
                item[name] = value
    return item


def part(block: Block) -> dict[str, Any]:
    match block.kind:
        case "refusal":
            return {"type": "refusal", "refusal": block.text}
        case "thinking":
            return {"type": "reasoning_text", "text": block.text}
        case "summary":
            return {"type": "summary_text", "text": block.text}
        case _:
            return {"type": "output_text", "text": block.text, "annotations": block.cites, "logprobs": block.logprobs}
