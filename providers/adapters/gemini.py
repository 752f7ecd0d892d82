"""The wire `gemini`: Google's generateContent, at AI Studio and on Vertex (https://ai.google.dev/api/generate-content).

On Vertex the base URL ends in `/publishers/google`, and the quirk `auth: google` shows a service account.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from providers.adapters import gemini_answer
from providers.adapters.base import Adapter, Call
from providers.adapters.errors import decoded
from providers.adapters.gemini_answer import FORMAT, GeminiStream
from providers.adapters.parts import (
    arguments_of,
    details_of,
    encode,
    forced,
    is_instruction,
    is_json,
    media_of,
    object_of,
    parts_of,
    refuse_other_answers,
    sampling,
    schema_of,
    stops,
    take_turn,
    takes,
    text_of,
    texts_of,
)
from providers.adapters.reasoning import REASONING, budget, effort, is_off, nearest
from providers.canonical import ChatRequest, Completion, EmbeddingRequest, Embeddings, Message, Part, Request
from providers.snapshot import Endpoint

# Up to 2.5 they think within a budget, later ones at a level.
BUDGETED = re.compile(r"gemini-[12]\b|gemini-[12]\.")
LEVELS = ("minimal", "low", "medium", "high")
# What Google documents for calls that another model has made, and that no signature can be had for.
NO_SIGNATURE = "skip_thought_signature_validator"
SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
IMAGE = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}
MOST_TOP_LOGPROBS = 20
Member = dict[str, Any]


class Vector(Struct, frozen=True):
    values: Raw


class WireEmbeddings(Struct, frozen=True):
    embeddings: list[Vector]


decode_embeddings = msgspec.json.Decoder(WireEmbeddings).decode


class Gemini(Adapter):
    auth = "x-goog-api-key"

    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        chat = request.chat
        refuse_other_answers(chat, gives_several=True)
        is_old = BUDGETED.search(endpoint.upstream_model) is not None
        body: Member = {"contents": conversation(chat.messages, is_signed=not is_old)}
        instructions = [text for one in chat.messages if is_instruction(one) and (text := text_of(one))]
        if instructions:
            body["systemInstruction"] = {"parts": [{"text": text} for text in instructions]}
        if not body["contents"]:
            body["contents"] = [{"role": "user", "parts": body.pop("systemInstruction", {}).get("parts", [])}]
        if chat.tools and takes(endpoint.supported_parameters, "tools"):
            body |= tools(chat)
        body["generationConfig"] = configuration(chat, endpoint, max_tokens)
        verb = "streamGenerateContent?alt=sse" if chat.stream else "generateContent"
        return Call(f"/models/{endpoint.upstream_model}:{verb}", encode(body), endpoint.provider.quirks.headers)

    def completion(self, body: bytes) -> Completion:
        return gemini_answer.completion(body)

    def stream(self) -> GeminiStream:
        return GeminiStream()

    def embedding(self, request: EmbeddingRequest, endpoint: Endpoint) -> Call:
        model = f"models/{endpoint.upstream_model}"
        more = {"outputDimensionality": request.dimensions} if request.dimensions else {}
        wanted = [{"model": model, "content": {"parts": [{"text": text}]}, **more} for text in texts_of(request)]
        return Call(f"/{model}:batchEmbedContents", encode({"requests": wanted}))

    def embeddings(self, body: bytes) -> Embeddings:
        found = decoded(decode_embeddings, body)
        return Embeddings([vector.values for vector in found.embeddings], None)


def configuration(chat: ChatRequest, endpoint: Endpoint, max_tokens: int | None) -> Member:
    supported = endpoint.supported_parameters
    found = sampling(chat, supported, SAMPLING)
    if max_tokens is not None:
        found["maxOutputTokens"] = max_tokens
    if chat.n and chat.n > 1:
        found["candidateCount"] = chat.n
    if stop := stops(chat):
        found["stopSequences"] = stop
    if is_json(chat):
        found["responseMimeType"] = "application/json"
        if schema := schema_of(chat):
            found["responseJsonSchema"] = schema
    if chat.modalities:
        found["responseModalities"] = [modality.upper() for modality in chat.modalities]
    if chat.logprobs and takes(supported, "logprobs"):
        found["responseLogprobs"] = True
        if chat.top_logprobs:
            found["logprobs"] = min(chat.top_logprobs, MOST_TOP_LOGPROBS)
    wanted = chat.image_config or {}
    if image := {theirs: wanted[name] for name, theirs in IMAGE.items() if name in wanted}:
        found["imageConfig"] = image
    if chat.thinking and takes(supported, *REASONING):
        found["thinkingConfig"] = thinking(chat, endpoint, max_tokens)
    return found


def thinking(chat: ChatRequest, endpoint: Endpoint, max_tokens: int | None) -> Member:
    asked = chat.thinking
    assert asked is not None
    found: Member = {"includeThoughts": not asked.exclude and not is_off(asked)}
    if BUDGETED.search(endpoint.upstream_model):
        if is_off(asked):
            # Pro models cannot be kept from thinking; 128 is their least.
            found["thinkingBudget"] = 128 if "-pro" in endpoint.upstream_model else 0
        elif asked.max_tokens or asked.effort:
            found["thinkingBudget"] = min(budget(asked, max_tokens), 24_576)
    elif is_off(asked):
        found["thinkingLevel"] = LEVELS[0]
    elif asked.max_tokens or asked.effort:
        found["thinkingLevel"] = nearest(effort(asked, max_tokens), LEVELS)
    return found


def tools(chat: ChatRequest) -> Member:
    declared = []
    for tool in chat.tools or []:
        if tool.function is None:
            continue
        function: Member = {"name": tool.function.name}
        if tool.function.description:
            function["description"] = tool.function.description
        if tool.function.parameters:
            function["parametersJsonSchema"] = tool.function.parameters
        declared.append(function)
    if not declared:
        return {}
    config: Member = {"mode": "AUTO"}
    if chat.tool_choice == "none":
        config = {"mode": "NONE"}
    elif chat.tool_choice == "required":
        config = {"mode": "ANY"}
    elif name := forced(chat.tool_choice):
        config = {"mode": "ANY", "allowedFunctionNames": [name]}
    return {"tools": [{"functionDeclarations": declared}], "toolConfig": {"functionCallingConfig": config}}


def conversation(messages: Iterable[Message], *, is_signed: bool) -> list[Member]:
    turns: list[Member] = []
    names: dict[str, str] = {}
    for message in messages:
        if is_instruction(message):
            continue
        if message.role == "assistant":
            role, parts = "model", said_by_model(message, is_signed=is_signed)
            names |= {call.id: call.function.name for call in message.tool_calls or []}
        else:
            role, parts = "user", said_to_model(message, names)
        take_turn(turns, role, "parts", parts)
    return turns


def said_to_model(message: Message, names: dict[str, str]) -> list[Member]:
    if message.role not in ("tool", "function"):
        return [part_of(part) for part in parts_of(message)]
    called = message.tool_call_id or message.name or ""
    name = names.get(called) or message.name or called
    media = [part_of(part) for part in parts_of(message) if part.type != "text"]
    # Google wants an object.
    result = object_of(text_of(message), otherwise="result")
    return [{"functionResponse": {"id": called, "name": name, "response": result}}, *media]


def said_by_model(message: Message, *, is_signed: bool) -> list[Member]:
    signatures = {detail.id or None: detail.data for detail in details_of(message, FORMAT) if detail.data}
    found: list[Member] = [{"text": part.text or part.refusal} for part in parts_of(message)]
    if found and (signature := signatures.get(None)):
        found[-1]["thoughtSignature"] = signature
    for place, call in enumerate(message.tool_calls or []):
        part: Member = {"functionCall": {"id": call.id, "name": call.function.name, "args": arguments_of(call)}}
        signature = signatures.get(call.id) or (NO_SIGNATURE if is_signed and place == 0 else None)
        if signature:
            part["thoughtSignature"] = signature
        found.append(part)
    return found


def part_of(part: Part) -> Member:
    if part.type == "text":
        return {"text": part.text}
    media = media_of(part)
    if media.data:
        return {"inlineData": {"mimeType": media.mime, "data": media.data}}
    return {"fileData": {"mimeType": media.mime, "fileUri": media.url}}
