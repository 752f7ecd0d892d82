"""A Messages body becomes a canonical request."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from gateway.skins import canonical
from gateway.skins.canonical import bad, missing
from gateway.skins.messages.content import Block, Content, is_own, parts, text_or_parts, tool_result
from gateway.skins.reasoning import of_sealed, of_thinking
from providers.canonical import CacheControl, Positive, ReasoningDetail, Request

# Of the request's fields, those that have the same name and sense in the canonical form.
SAME = (
    "model",
    "models",
    "provider",
    "plugins",
    "preset",
    "route",
    "session_id",
    "trace",
    "stream",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "cache_control",
    "debug",
)
TIERS = {"standard_only": "default"}


class Message(Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: Content


class Tool(Struct, frozen=True):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Raw] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolChoice(Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None


class Format(Struct, frozen=True):
    type: Literal["json_schema"]
    schema: dict[str, Raw]


class OutputConfig(Struct, frozen=True):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Metadata(Struct, frozen=True):
    user_id: str | None = None


class Fallback(Struct, frozen=True):
    model: str


class MessagesRequest(Struct, frozen=True):
    """What differs from the canonical form; what does not is checked there."""

    messages: list[Message]
    model: str | None = None
    max_tokens: Positive | None = None
    stream: bool | None = None
    system: Content | None = None
    models: list[str] | None = None
    fallbacks: list[Fallback] | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    metadata: Metadata | None = None
    user: str | None = None
    service_tier: str | None = None
    speed: Literal["fast", "standard"] | None = None


decoder = msgspec.json.Decoder(MessagesRequest)


def parse(body: bytes) -> Request:
    asked, fields = canonical.read(decoder, body)
    chat: dict[str, Any] = {name: fields[name] for name in SAME if name in fields}
    if not asked.messages:
        raise bad("messages", "at least one message is required.")
    chat["messages"] = [*system(asked.system), *messages(asked.messages)]
    chat["stop"] = asked.stop_sequences or None
    chat["tools"] = [tool(one, place) for place, one in enumerate(asked.tools or ())] or None
    chat |= choice(asked.tool_choice)
    chat |= thinking(asked)
    chat["response_format"] = response_format(asked)
    chat["user"] = asked.user or (asked.metadata.user_id if asked.metadata else None)
    chat["service_tier"] = "fast" if asked.speed == "fast" else TIERS.get(asked.service_tier or "", asked.service_tier)
    if asked.fallbacks:
        if asked.models:
            raise bad("fallbacks", "it cannot be used together with models.")
        chat["models"] = [one.model for one in asked.fallbacks]
    return canonical.request(chat, "anthropic", fields)


def system(content: Content | None) -> Iterator[dict[str, Any]]:
    if content:
        yield {"role": "system", "content": text_or_parts(content, "system")}


def messages(given: list[Message]) -> Iterator[dict[str, Any]]:
    for place, message in enumerate(given):
        at = f"messages[{place}].content"
        if message.role == "system":
            yield {"role": "system", "content": text_or_parts(message.content, at)}
        elif isinstance(message.content, str):
            yield {"role": message.role, "content": message.content}
        elif message.role == "assistant":
            yield assistant(message.content, at)
        else:
            yield from user(message.content, at)


def user(blocks: list[Block], at: str) -> Iterator[dict[str, Any]]:
    """Results of tools are messages of their own; the order stays."""
    said: list[tuple[Block, str]] = []
    for place, block in enumerate(blocks):
        if block.type != "tool_result":
            said.append((block, f"{at}[{place}]"))
            continue
        if said:
            yield {"role": "user", "content": parts(said)}
            said = []
        yield tool_result(block, f"{at}[{place}]")
    if said:
        yield {"role": "user", "content": parts(said)}


def assistant(blocks: list[Block], at: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    said: list[tuple[Block, str]] = []
    calls: list[dict[str, Any]] = []
    details: list[ReasoningDetail] = []
    thoughts: list[str] = []
    for place, block in enumerate(blocks):
        where = f"{at}[{place}]"
        match block.type:
            case "tool_use":
                calls.append(tool_use(block, where))
            case "thinking":
                if block.thinking is None:
                    raise missing(f"{where}.thinking")
                thoughts.append(block.thinking)
                details.append(of_thinking(block.thinking, block.signature or "", len(details)))
            case "redacted_thinking":
                if block.data is None:
                    raise missing(f"{where}.data")
                details.append(of_sealed(block.data, len(details)))
            case _ if not is_own(block):
                said.append((block, where))
    if said:
        message["content"] = parts(said)
    if details:
        message |= {"reasoning": "".join(thoughts) or None, "reasoning_details": details}
    if calls:
        message["tool_calls"] = calls
    return message


def tool_use(block: Block, at: str) -> dict[str, Any]:
    if block.id is None:
        raise missing(f"{at}.id")
    if block.name is None:
        raise missing(f"{at}.name")
    arguments = canonical.encode(block.input or {}).decode()
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def tool(given: Tool, place: int) -> dict[str, Any]:
    if given.type not in (None, "custom"):
        return {"type": given.type}
    if given.input_schema is None:
        raise missing(f"tools[{place}].input_schema")
    function: dict[str, Any] = {"name": given.name, "parameters": given.input_schema}
    if given.description is not None:
        function["description"] = given.description
    if given.strict is not None:
        function["strict"] = given.strict
    cached = {"cache_control": given.cache_control} if given.cache_control else {}
    return {"type": "function", "function": function, **cached}


def choice(given: ToolChoice | None) -> dict[str, Any]:
    if given is None:
        return {}
    parallel = {"parallel_tool_calls": False} if given.disable_parallel_tool_use else {}
    if given.type == "tool":
        if given.name is None:
            raise missing("tool_choice.name")
        return {"tool_choice": {"type": "function", "function": {"name": given.name}}, **parallel}
    return {"tool_choice": {"any": "required"}.get(given.type, given.type), **parallel}


def thinking(asked: MessagesRequest) -> dict[str, Any]:
    effort = asked.output_config.effort if asked.output_config else None
    found: dict[str, Any] = {"verbosity": effort}
    match asked.thinking:
        case None:
            pass
        case Thinking(type="disabled"):
            found["reasoning"] = {"enabled": False}
        case Thinking(type="enabled", budget_tokens=budget):
            if budget is None:
                raise missing("thinking.budget_tokens")
            if budget < 1:
                raise bad("thinking.budget_tokens", "it must be at least 1.")
            found["reasoning"] = {"max_tokens": budget}
        case _:
            found["reasoning"] = {"effort": effort} if effort else {"enabled": True}
    return found


def response_format(asked: MessagesRequest) -> dict[str, Any] | None:
    wanted = (asked.output_config and asked.output_config.format) or asked.output_format
    if not wanted:
        return None
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": wanted.schema, "strict": True}}
