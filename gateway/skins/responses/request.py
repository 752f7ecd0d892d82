"""A Responses body becomes a canonical request."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from gateway.skins import canonical
from gateway.skins.canonical import bad, missing
from gateway.skins.responses.items import Item, messages
from providers.canonical import Effort, Positive, Request, Verbosity

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
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "parallel_tool_calls",
    "max_tool_calls",
    "metadata",
    "modalities",
    "image_config",
    "cache_control",
    "prompt_cache_key",
    "service_tier",
    "debug",
)


class Tool(Struct, frozen=True):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Raw] | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True):
    type: str
    name: str | None = None


class Reasoning(Struct, frozen=True):
    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    max_tokens: Positive | None = None
    enabled: bool | None = None


class Format(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Raw] | None = None
    strict: bool | None = None
    description: str | None = None


class Text(Struct, frozen=True):
    format: Format | None = None
    verbosity: Verbosity | None = None


class ResponsesRequest(Struct, frozen=True):
    """What differs from the canonical form; what does not is checked there."""

    input: str | list[Item]
    model: str | None = None
    stream: bool | None = None
    instructions: str | None = None
    max_output_tokens: Positive | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # Nothing is kept between requests.
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    prompt: dict[str, Raw] | None = None


decoder = msgspec.json.Decoder(ResponsesRequest)


def parse(body: bytes) -> Request:
    asked, fields = canonical.read(decoder, body)
    refuse_state(asked)
    chat: dict[str, Any] = {name: fields[name] for name in SAME if name in fields}
    first = [{"role": "system", "content": asked.instructions}] if asked.instructions else []
    rest = [{"role": "user", "content": asked.input}] if isinstance(asked.input, str) else messages(asked.input)
    if not rest:
        raise bad("input", "at least one item is required.")
    chat["messages"] = [*first, *rest]
    chat["max_tokens"] = asked.max_output_tokens
    chat["tools"] = [tool(one, place) for place, one in enumerate(asked.tools or ())] or None
    chat["tool_choice"] = choice(asked.tool_choice)
    chat["reasoning"] = msgspec.to_builtins(asked.reasoning) if asked.reasoning else None
    chat["user"] = asked.user or asked.safety_identifier
    if asked.text is not None:
        chat["verbosity"] = asked.text.verbosity
        chat["response_format"] = response_format(asked.text.format)
    if asked.include and "message.output_text.logprobs" in asked.include:
        chat["logprobs"] = True
    return canonical.request(chat, "responses", fields)


def refuse_state(asked: ResponsesRequest) -> None:
    if asked.store:
        raise bad("store", "responses are not kept here; leave it out or send false.")
    if asked.previous_response_id:
        raise bad("previous_response_id", "responses are not kept here; send the whole conversation as input.")
    if asked.background:
        raise bad("background", "it is not supported here.")
    if asked.prompt:
        raise bad("prompt", "stored prompts are not supported here.")


def tool(given: Tool, place: int) -> dict[str, Any]:
    if given.type != "function":
        return {"type": given.type}
    if given.name is None:
        raise missing(f"tools[{place}].name")
    members = {
        "name": given.name,
        "description": given.description,
        "parameters": given.parameters,
        "strict": given.strict,
    }
    return {"type": "function", "function": {name: value for name, value in members.items() if value is not None}}


def choice(given: str | ToolChoice | None) -> Any:
    if not isinstance(given, ToolChoice):
        return given
    if given.type != "function":
        return {"type": given.type}
    if given.name is None:
        raise missing("tool_choice.name")
    return {"type": "function", "function": {"name": given.name}}


def response_format(given: Format | None) -> dict[str, Any] | None:
    if given is None:
        return None
    if given.type != "json_schema":
        return {"type": given.type}
    if given.schema is None:
        raise missing("text.format.schema")
    members = {
        "name": given.name or "output",
        "schema": given.schema,
        "strict": given.strict,
        "description": given.description,
    }
    schema = {name: value for name, value in members.items() if value is not None}
    return {"type": "json_schema", "json_schema": schema}
