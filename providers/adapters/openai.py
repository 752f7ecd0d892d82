"""The wire `openai`: OpenAI's Chat Completions, as most vendors and self-hosted servers speak it.

How a vendor departs from it is data on its row (providers/quirks.py).
"""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Raw, Struct

from providers.adapters import openai_answer
from providers.adapters.base import Adapter, Call
from providers.adapters.errors import decoded
from providers.adapters.openai_answer import OpenAIStream
from providers.adapters.reasoning import REASONING, budget, effort, is_off, nearest
from providers.canonical import NULL, Completion, EmbeddingRequest, Embeddings, Message, Request
from providers.quirks import Quirks
from providers.snapshot import TEXT, Endpoint

# Sent to every endpoint; the other known parameters only where the endpoint lists them.
ALWAYS = frozenset({"messages", "stop", "n", "user"})
OPTIONAL = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "top_a",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "prediction",
        "modalities",
        "audio",
        "verbosity",
        "web_search_options",
    }
)
# Not listed by the reference: of endpoints that answer with more than text.
MEDIA = frozenset({"modalities", "audio"})
# What an endpoint takes of which nothing is known: OpenAI's own parameters.
STANDARD = OPTIONAL - {"top_k", "min_p", "top_a", "repetition_penalty", "verbosity", "web_search_options"}
# Ours, or set by us: they never go upstream, passthrough or not.
OURS = frozenset(
    {
        "model",
        "models",
        "provider",
        "route",
        "preset",
        "stream",
        "stream_options",
        "usage",
        "max_tokens",
        "max_completion_tokens",
        "max_tool_calls",
        "plugins",
        "transforms",
        "include_reasoning",
        "reasoning",
        "reasoning_effort",
        "session_id",
        "trace",
        "metadata",
        "debug",
        "image_config",
        "cache_control",
        "service_tier",
    }
)
# A parameter that the catalogue lists under another word.
LISTED_AS = {"parallel_tool_calls": "tools"}
# Members of messages and of their parts that only we and OpenRouter know.
OUR_MEMBERS = ("reasoning", "reasoning_content", "reasoning_details", "images", "annotations", "cache_control")
REQUIRED = Raw(b'"required"')

encode = msgspec.json.Encoder().encode
decode_objects = msgspec.json.Decoder(list[dict[str, Raw]]).decode


class Vector(Struct, frozen=True):
    embedding: Raw
    index: int = 0


class WireEmbeddings(Struct, frozen=True):
    data: list[Vector]
    usage: Raw = NULL
    id: str | None = None


decode_embeddings = msgspec.json.Decoder(WireEmbeddings).decode


class OpenAI(Adapter):
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        quirks = endpoint.provider.quirks
        body: dict[str, Any] = {"model": endpoint.upstream_model}
        body |= translated(request, quirks, wanted(request, endpoint))
        body |= reasoning(request, endpoint, max_tokens)
        if max_tokens is not None:
            body[quirks.max_tokens_field] = max_tokens
        if endpoint.service_tier:
            body["service_tier"] = endpoint.service_tier
        if request.chat.stream:
            body["stream"] = True
            if quirks.stream_usage:
                body["stream_options"] = {"include_usage": True}
        for name in quirks.without:
            body.pop(name, None)
        for name, theirs in quirks.rename.items():
            if name in body:
                body[theirs] = body.pop(name)
        return call("/chat/completions", body, endpoint)

    def completion(self, body: bytes) -> Completion:
        return openai_answer.completion(body)

    def stream(self) -> OpenAIStream:
        return OpenAIStream()

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        body: dict[str, Any] = {"model": endpoint.upstream_model, "input": request.input}
        for name in ("dimensions", "encoding_format", "user"):
            value = getattr(request, name)
            if value is not None and name not in endpoint.provider.quirks.without:
                body[name] = value
        return call("/embeddings", body, endpoint)

    def embeddings(self, body: bytes) -> Embeddings:
        found = decoded(decode_embeddings, body)
        vectors = [vector.embedding for vector in sorted(found.data, key=lambda vector: vector.index)]
        return Embeddings(vectors, openai_answer.count(found.usage), found.id)


def call(path: str, body: dict[str, Any], endpoint: Endpoint) -> Call:
    quirks = endpoint.provider.quirks
    if quirks.path:
        # Azure's older API has the deployment in the path, and the operation behind it.
        path = quirks.path.replace("{model}", endpoint.upstream_model) + path
    return Call(f"{path}?{quirks.query}" if quirks.query else path, encode(body), quirks.headers)


def wanted(request: Request, endpoint: Endpoint) -> dict[str, Raw]:
    """The client's fields that this endpoint takes, as they came."""
    supported = endpoint.supported_parameters or STANDARD
    is_open = endpoint.provider.passthrough
    also = endpoint.provider.quirks.also
    found = {}
    for name, raw in request.fields.items():
        if name in OPTIONAL:
            is_wanted = LISTED_AS.get(name, name) in supported or (name in MEDIA and endpoint.outputs != TEXT)
        else:
            is_wanted = name in ALWAYS or name in also or (is_open and name not in OURS)
        if is_wanted and raw != NULL:
            found[name] = raw
    return found


def translated(request: Request, quirks: Quirks, found: dict[str, Any]) -> dict[str, Any]:
    """With other words for what cannot go as it came."""
    chat = request.chat
    messages = found.get("messages")
    if messages is not None and any(is_ours(message, quirks) for message in chat.messages):
        told = zip(decode_objects(messages), chat.messages, strict=True)
        found["messages"] = [rewritten(raw, message, quirks) for raw, message in told]
    tools = found.get("tools")
    if tools is not None and chat.tools and any(tool.type != "function" or tool.cache_control for tool in chat.tools):
        pairs = zip(decode_objects(tools), chat.tools, strict=True)
        found["tools"] = [without(raw, OUR_MEMBERS) for raw, tool in pairs if tool.type == "function"]
    if found.get("tool_choice") == REQUIRED:
        found["tool_choice"] = quirks.tool_choice_required
    return found


def without(members: dict[str, Raw], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}


def is_ours(message: Message, quirks: Quirks) -> bool:
    """Whether it has something that the vendor does not know."""
    return (
        (message.role == "developer" and not quirks.developer)
        or message.reasoning is not None
        or message.reasoning_content is not None
        or message.reasoning_details is not None
        or message.images is not None
        or message.annotations is not None
        or (isinstance(message.content, list) and any(part.cache_control for part in message.content))
    )


def rewritten(raw: dict[str, Raw], message: Message, quirks: Quirks) -> dict[str, Any]:
    found = without(raw, OUR_MEMBERS)
    if message.role == "developer" and not quirks.developer:
        found["role"] = "system"
    if quirks.reasoning_back and (text := message.reasoning or message.reasoning_content):
        found[quirks.reasoning_back] = text
    if isinstance(message.content, list) and any(part.cache_control for part in message.content):
        found["content"] = [without(part, OUR_MEMBERS) for part in decode_objects(raw["content"])]
    return found


def reasoning(request: Request, endpoint: Endpoint, max_tokens: int | None) -> dict[str, Any]:
    """Asked for in the vendor's way, where the endpoint reasons at all."""
    asked = request.chat.thinking
    quirks = endpoint.provider.quirks
    if asked is None or not (not endpoint.supported_parameters.isdisjoint(REASONING) or endpoint.provider.passthrough):
        return {}
    is_on = not is_off(asked)
    match quirks.reasoning:
        case "effort":
            if not is_on and "none" not in quirks.efforts:
                return {}
            if asked.effort is None and asked.max_tokens is None and is_on:
                return {}
            return {"reasoning_effort": nearest(effort(asked, max_tokens) if is_on else "none", quirks.efforts)}
        case "object":
            return {"reasoning": asked}
        case "thinking":
            return {"thinking": {"type": "enabled" if is_on else "disabled"}}
        case "enable_thinking":
            found: dict[str, Any] = {"enable_thinking": is_on}
            if is_on and (asked.max_tokens or asked.effort):
                found["thinking_budget"] = budget(asked, max_tokens)
            return found
        case "template":
            return {"chat_template_kwargs": {"enable_thinking": is_on}}
        case "none":
            return {}
