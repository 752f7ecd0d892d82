"""The wire `cohere`: Cohere's chat and embed, version 2 (https://docs.cohere.com/reference/chat)."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from providers.adapters import cohere_answer
from providers.adapters.base import Adapter, Call
from providers.adapters.cohere_answer import CohereStream, Tokens, WireUsage
from providers.adapters.errors import decoded
from providers.adapters.parts import (
    EMPTY_SCHEMA,
    encode,
    forced,
    is_instruction,
    is_json,
    openai_part,
    parts_of,
    refuse_other_answers,
    sampling,
    schema_of,
    stops,
    takes,
    text_of,
    texts_of,
)
from providers.adapters.reasoning import REASONING, budget, is_off
from providers.canonical import ChatRequest, Completion, EmbeddingRequest, Embeddings, Message, Request
from providers.snapshot import Endpoint

SAMPLING = {
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
Member = dict[str, Any]


class Floats(Struct, frozen=True):
    float: list[Raw]


class Meta(Struct, frozen=True):
    billed_units: Tokens | None = None


class WireEmbeddings(Struct, frozen=True):
    embeddings: Floats
    id: str | None = None
    meta: Meta = Meta()


decode_embeddings = msgspec.json.Decoder(WireEmbeddings).decode


class Cohere(Adapter):
    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        chat = request.chat
        refuse_other_answers(chat)
        supported = endpoint.supported_parameters
        body: Member = {"model": endpoint.upstream_model, "messages": [message_of(one) for one in chat.messages]}
        body["stream"] = bool(chat.stream)
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        body |= sampling(chat, supported, SAMPLING)
        if stop := stops(chat):
            body["stop_sequences"] = stop
        if is_json(chat):
            schema = schema_of(chat)
            body["response_format"] = {"type": "json_object"} | ({"json_schema": schema} if schema else {})
        if chat.tools and takes(supported, "tools"):
            body |= tools(chat)
        if chat.thinking and takes(supported, *REASONING):
            body["thinking"] = thinking(chat, max_tokens)
        return Call("/chat", encode(body))

    def completion(self, body: bytes) -> Completion:
        return cohere_answer.completion(body)

    def stream(self) -> CohereStream:
        return CohereStream()

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        body: Member = {"model": endpoint.upstream_model, "texts": texts_of(request), "embedding_types": ["float"]}
        body["input_type"] = request.input_type or "search_document"
        if request.dimensions:
            body["output_dimension"] = request.dimensions
        return Call("/embed", encode(body))

    def embeddings(self, body: bytes) -> Embeddings:
        found = decoded(decode_embeddings, body)
        return Embeddings(found.embeddings.float, WireUsage(found.meta.billed_units).canonical(), found.id)


def thinking(chat: ChatRequest, max_tokens: int | None) -> Member:
    asked = chat.thinking
    if asked is None or is_off(asked):
        return {"type": "disabled"}
    has_size = asked.max_tokens or asked.effort
    return {"type": "enabled"} | ({"token_budget": budget(asked, max_tokens)} if has_size else {})


def tools(chat: ChatRequest) -> Member:
    only = forced(chat.tool_choice)
    functions = [tool.function for tool in chat.tools or [] if tool.function]
    # It cannot be told which one: it is shown no other.
    wanted = [one for one in functions if only in (None, one.name)]
    found = [
        {
            "type": "function",
            "function": {
                "name": one.name,
                **described(one.description),
                "parameters": one.parameters or EMPTY_SCHEMA,
            },
        }
        for one in wanted
    ]
    if not found:
        return {}
    if chat.tool_choice == "none":
        return {"tools": found, "tool_choice": "NONE"}
    is_required = only or chat.tool_choice == "required"
    return {"tools": found} | ({"tool_choice": "REQUIRED"} if is_required else {})


def described(text: str | None) -> Member:
    return {"description": text} if text else {}


def message_of(message: Message) -> Member:
    if is_instruction(message):
        return {"role": "system", "content": text_of(message)}
    if message.role in ("tool", "function"):
        return {"role": "tool", "tool_call_id": message.tool_call_id or message.name or "", "content": text_of(message)}
    if message.role == "user":
        return {"role": "user", "content": [openai_part(part) for part in parts_of(message)]}
    found: Member = {"role": "assistant"}
    if text := text_of(message):
        found["content"] = text
    if message.tool_calls:
        found["tool_calls"] = message.tool_calls
        if message.reasoning:
            found["tool_plan"] = message.reasoning
    return found
