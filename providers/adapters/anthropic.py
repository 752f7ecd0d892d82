"""The wire `anthropic`: Anthropic's Messages API (https://platform.claude.com/docs/en/api/messages)."""

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from providers.adapters import anthropic_answer
from providers.adapters.anthropic_answer import FORMAT, AnthropicStream
from providers.adapters.base import Adapter, Call, unsupported
from providers.adapters.parts import (
    EMPTY_SCHEMA,
    arguments_of,
    as_instruction,
    details_of,
    encode,
    forced,
    is_instruction,
    is_json,
    media_of,
    parts_of,
    refuse_other_answers,
    schema_of,
    stops,
    structured,
    take_turn,
    takes,
)
from providers.adapters.reasoning import REASONING, budget, effort, is_off, nearest
from providers.canonical import NULL, CacheControl, ChatRequest, Completion, Message, Part, Request, Tool
from providers.snapshot import Endpoint

MAX_TOKENS = 4096
# Models before 4.6 think within a budget; later ones decide for themselves, and refuse one.
BUDGETED = re.compile(r"claude-(?:[123]|instant|(?:opus|sonnet|haiku)-4(?:-(?:[0-5]|20\d{6})(?!\d)|@|$))")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
NO_ID = re.compile(r"[^a-zA-Z0-9_-]")
# What a client of the Messages API may have said that goes on as it came; what changes the price is not among it.
NATIVE = frozenset(
    {
        "cache_control",
        "context_management",
        "messages",
        "metadata",
        "output_config",
        "stop_sequences",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
Block = dict[str, Any]


class Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class Anthropic(Adapter):
    auth = "x-api-key"
    headers = {"anthropic-version": "2023-06-01"}

    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        most = max_tokens or endpoint.max_completion_tokens or MAX_TOKENS
        body: dict[str, Any] = {"model": endpoint.upstream_model, "max_tokens": most}
        body |= as_it_came(request, most) if request.family == "anthropic" else translated(request.chat, endpoint, most)
        if request.chat.stream:
            body["stream"] = True
        return Call("/messages", encode(body), endpoint.provider.quirks.headers)

    def completion(self, body: bytes) -> Completion:
        return anthropic_answer.completion(body)

    def stream(self) -> AnthropicStream:
        return AnthropicStream()


def as_it_came(request: Request, most: int) -> dict[str, Any]:
    found: dict[str, Any] = {name: raw for name, raw in request.native.items() if name in NATIVE and raw != NULL}
    if "thinking" in found:
        thinking = msgspec.json.decode(found["thinking"], type=Thinking)
        if thinking.budget_tokens is not None and thinking.budget_tokens >= most:
            # The hold pays for fewer tokens than the client wanted to think with.
            found["thinking"] = {"type": "enabled", "budget_tokens": most - 1} if most > 1024 else {"type": "disabled"}
    return found


def translated(chat: ChatRequest, endpoint: Endpoint, most: int) -> dict[str, Any]:
    refuse_other_answers(chat)
    supported = endpoint.supported_parameters
    system = [block for message in chat.messages if is_instruction(message) for block in texts(message)]
    if is_json(chat) and not structured(chat, supported):
        system.append({"type": "text", "text": as_instruction(chat)})
    messages = conversation(chat.messages)
    if not messages:
        messages, system = [{"role": "user", "content": system}], []
    body: dict[str, Any] = {"messages": messages}
    if system:
        body["system"] = system
    if stop := [one for one in stops(chat) if one.strip()]:
        body["stop_sequences"] = stop
    if chat.user:
        body["metadata"] = {"user_id": chat.user}
    if chat.cache_control:
        body["cache_control"] = chat.cache_control
    if chat.tools and takes(supported, "tools"):
        body |= tools(chat, is_strict=takes(supported, "structured_outputs"))
    body |= output(chat, endpoint, most, is_forced="tool_choice" in body and body["tool_choice"]["type"] in FORCED)
    return body | sampling(chat, supported, is_thinking="thinking" in body)


FORCED = ("any", "tool")


def output(chat: ChatRequest, endpoint: Endpoint, most: int, *, is_forced: bool) -> dict[str, Any]:
    """Reasoning and the answer's form."""
    body: dict[str, Any] = {}
    config: dict[str, Any] = {}
    if structured(chat, endpoint.supported_parameters):
        config["format"] = {"type": "json_schema", "schema": schema_of(chat)}
    asked = chat.thinking
    can_think = takes(endpoint.supported_parameters, *REASONING)
    # A tool cannot be forced upon a model that thinks.
    if asked is not None and can_think and not is_forced:
        is_budgeted = BUDGETED.search(endpoint.upstream_model) is not None
        if is_off(asked):
            body |= {} if is_budgeted else {"thinking": {"type": "disabled"}}
        elif not is_budgeted:
            body["thinking"] = {"type": "adaptive", "display": "omitted" if asked.exclude else "summarized"}
            if asked.effort or asked.max_tokens:
                config["effort"] = nearest(effort(asked, most), EFFORTS)
        elif most > 1024:
            body["thinking"] = {"type": "enabled", "budget_tokens": min(budget(asked, most), most - 1)}
    wants_words = chat.verbosity is not None and takes(endpoint.supported_parameters, "verbosity")
    if wants_words and "effort" not in config and BUDGETED.search(endpoint.upstream_model) is None:
        # How much it says is a matter of effort there.
        config["effort"] = nearest(chat.verbosity or "medium", EFFORTS)
    return body | ({"output_config": config} if config else {})


def sampling(chat: ChatRequest, supported: frozenset[str], *, is_thinking: bool) -> dict[str, Any]:
    """A model that thinks takes its own temperature only."""
    given = {} if is_thinking else {"temperature": chat.temperature, "top_k": chat.top_k, "top_p": chat.top_p}
    found: dict[str, Any] = {
        name: value for name, value in given.items() if value is not None and takes(supported, name)
    }
    if "temperature" in found:
        found["temperature"] = min(found["temperature"], 1)
        # Later models refuse both.
        found.pop("top_p", None)
    return found


def tools(chat: ChatRequest, *, is_strict: bool) -> dict[str, Any]:
    found = [tool_of(tool, is_strict=is_strict) for tool in chat.tools or [] if tool.function]
    if not found:
        return {}
    choice: Block = {"type": "auto"}
    if chat.tool_choice == "none":
        return {"tools": found, "tool_choice": {"type": "none"}}
    if chat.tool_choice == "required":
        choice = {"type": "any"}
    elif name := forced(chat.tool_choice):
        choice = {"type": "tool", "name": name}
    if chat.parallel_tool_calls is False:
        choice["disable_parallel_tool_use"] = True
    return {"tools": found, "tool_choice": choice}


def tool_of(tool: Tool, *, is_strict: bool) -> Block:
    function = tool.function
    assert function is not None
    found: Block = {"name": function.name, "input_schema": function.parameters or EMPTY_SCHEMA}
    if function.description:
        found["description"] = function.description
    if function.strict and is_strict:
        found["strict"] = True
    return found | cached(tool.cache_control)


def cached(control: CacheControl | None) -> Block:
    return {"cache_control": control} if control else {}


def conversation(messages: Iterable[Message]) -> list[Block]:
    turns: list[Block] = []
    for message in messages:
        if is_instruction(message):
            continue
        role: Literal["assistant", "user"] = "assistant" if message.role == "assistant" else "user"
        blocks = said_by_model(message) if role == "assistant" else said_to_model(message)
        take_turn(turns, role, "content", blocks)
    if turns and turns[-1]["role"] == "assistant" and (last := turns[-1]["content"][-1])["type"] == "text":
        # A prefill must not end in white space.
        last["text"] = last["text"].rstrip() or "."
    return turns


def said_to_model(message: Message) -> list[Block]:
    if message.role not in ("tool", "function"):
        return [block(part) for part in parts_of(message)]
    content = [block(part) for part in parts_of(message)]
    call = NO_ID.sub("_", message.tool_call_id or message.name or "")
    return [{"type": "tool_result", "tool_use_id": call, "content": content}]


def said_by_model(message: Message) -> list[Block]:
    found: list[Block] = []
    for detail in details_of(message, FORMAT):
        if detail.type == "reasoning.encrypted" and detail.data:
            found.append({"type": "redacted_thinking", "data": detail.data})
        elif detail.type == "reasoning.text" and detail.signature:
            found.append({"type": "thinking", "thinking": detail.text or "", "signature": detail.signature})
    found += texts(message)
    for call in message.tool_calls or []:
        name, call_id = call.function.name, NO_ID.sub("_", call.id)
        found.append({"type": "tool_use", "id": call_id, "name": name, "input": arguments_of(call)})
    return found


def texts(message: Message) -> list[Block]:
    return [block(part) for part in parts_of(message) if part.type in ("text", "refusal")]


def block(part: Part) -> Block:
    if part.type in ("text", "refusal"):
        return {"type": "text", "text": part.text or part.refusal or ""} | cached(part.cache_control)
    media = media_of(part)
    source: Block = {"type": "url", "url": media.url}
    if media.data:
        source = {"type": "base64", "media_type": media.mime, "data": media.data}
    if media.mime.startswith("image/"):
        return {"type": "image", "source": source} | cached(part.cache_control)
    if media.mime != "application/pdf":
        raise unsupported(f"this provider takes no {media.mime}")
    title = part.file.filename if part.file else None
    return {"type": "document", "source": source} | ({"title": title} if title else {}) | cached(part.cache_control)
