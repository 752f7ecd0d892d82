"""The wire `bedrock`: Amazon Bedrock's Converse and ConverseStream
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from providers.adapters import bedrock_answer
from providers.adapters.anthropic import BUDGETED, EFFORTS, NO_ID
from providers.adapters.anthropic_answer import FORMAT
from providers.adapters.base import Adapter, Call, unsupported
from providers.adapters.bedrock_answer import BedrockStream
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
from providers.canonical import CacheControl, ChatRequest, Completion, Message, Part, Request
from providers.snapshot import Endpoint

IMAGES = ("png", "jpeg", "gif", "webp")
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/html": "html",
    "text/csv": "csv",
    "text/markdown": "md",
}
Block = dict[str, Any]


class Bedrock(Adapter):
    framing = "eventstream"
    auth = "sigv4"

    def request(self, request: Request, endpoint: Endpoint, *, max_tokens: int | None) -> Call:
        chat = request.chat
        refuse_other_answers(chat)
        body: Block = {"messages": conversation(chat.messages)}
        system = instructions(chat, endpoint)
        if not body["messages"]:
            body["messages"], system = [{"role": "user", "content": system}], []
        if system:
            body["system"] = system
        if config := inference(chat, endpoint.supported_parameters, max_tokens):
            body["inferenceConfig"] = config
        if chat.tools and takes(endpoint.supported_parameters, "tools"):
            body |= tools(chat)
        body |= output(chat, endpoint, max_tokens)
        if "additionalModelRequestFields" in body:
            # A model that thinks takes its own temperature only, and no forced tool.
            body.get("inferenceConfig", {}).pop("temperature", None)
        verb = "converse-stream" if chat.stream else "converse"
        return Call(f"/model/{quote(endpoint.upstream_model, safe='')}/{verb}", encode(body))

    def completion(self, body: bytes) -> Completion:
        return bedrock_answer.completion(body)

    def stream(self) -> BedrockStream:
        return BedrockStream()


def instructions(chat: ChatRequest, endpoint: Endpoint) -> list[Block]:
    found: list[Block] = []
    for message in chat.messages:
        if is_instruction(message):
            for part in parts_of(message):
                found += [{"text": part.text}, *cache_point(part.cache_control)]
    if is_json(chat) and not structured(chat, endpoint.supported_parameters):
        found.append({"text": as_instruction(chat)})
    return found


def inference(chat: ChatRequest, supported: frozenset[str], max_tokens: int | None) -> Block:
    found: Block = {}
    if max_tokens is not None:
        found["maxTokens"] = max_tokens
    if chat.temperature is not None and takes(supported, "temperature"):
        found["temperature"] = min(chat.temperature, 1)
    elif chat.top_p is not None and takes(supported, "top_p"):
        found["topP"] = chat.top_p
    if stop := [one for one in stops(chat) if one.strip()]:
        found["stopSequences"] = stop
    return found


def output(chat: ChatRequest, endpoint: Endpoint, max_tokens: int | None) -> Block:
    """The answer's form, and reasoning in the words of the model's maker."""
    found: Block = {}
    config: Block = {}
    if structured(chat, endpoint.supported_parameters):
        wanted = chat.response_format.json_schema if chat.response_format else None
        schema = bytes(schema_of(chat) or b"{}").decode()
        shape = {"schema": schema} | ({"name": wanted.name} if wanted else {})
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": shape}}
    asked = chat.thinking
    can_think = takes(endpoint.supported_parameters, *REASONING)
    is_forced = chat.tool_choice == "required" or forced(chat.tool_choice) is not None
    if asked is not None and can_think and not is_forced and not is_off(asked):
        if "claude" not in endpoint.upstream_model:
            config["effort"] = nearest(effort(asked, max_tokens), ("low", "medium", "high"))
        elif BUDGETED.search(endpoint.upstream_model) is None:
            found["additionalModelRequestFields"] = {"thinking": {"type": "adaptive"}}
            if asked.effort or asked.max_tokens:
                config["effort"] = nearest(effort(asked, max_tokens), EFFORTS)
        elif max_tokens is None or max_tokens > 1024:
            tokens = min(budget(asked, max_tokens), (max_tokens or 2**31) - 1)
            thinking = {"type": "enabled", "budget_tokens": tokens}
            found["additionalModelRequestFields"] = {"thinking": thinking}
    return found | ({"outputConfig": config} if config else {})


def tools(chat: ChatRequest) -> Block:
    has_calls = any(message.tool_calls for message in chat.messages)
    if chat.tool_choice == "none" and not has_calls:
        # There is no word for it; but what was called must stay declared.
        return {}
    found: list[Block] = []
    for tool in chat.tools or []:
        if tool.function is None:
            continue
        spec: Block = {
            "name": tool.function.name,
            "inputSchema": {"json": tool.function.parameters or EMPTY_SCHEMA},
        }
        if tool.function.description:
            spec["description"] = tool.function.description
        found += [{"toolSpec": spec}, *cache_point(tool.cache_control)]
    if not found:
        return {}
    config: Block = {"tools": found}
    if chat.tool_choice == "required":
        config["toolChoice"] = {"any": {}}
    elif name := forced(chat.tool_choice):
        config["toolChoice"] = {"tool": {"name": name}}
    return {"toolConfig": config}


def cache_point(control: CacheControl | None) -> list[Block]:
    if control is None:
        return []
    return [{"cachePoint": {"type": "default"} | ({"ttl": control.ttl} if control.ttl else {})}]


def conversation(messages: Iterable[Message]) -> list[Block]:
    turns: list[Block] = []
    for message in messages:
        if is_instruction(message):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = said_by_model(message) if role == "assistant" else said_to_model(message)
        take_turn(turns, role, "content", blocks)
    return turns


def said_to_model(message: Message) -> list[Block]:
    content = [one for part in parts_of(message) for one in (block(part), *cache_point(part.cache_control))]
    if message.role not in ("tool", "function"):
        return content
    call = NO_ID.sub("_", message.tool_call_id or message.name or "")
    return [{"toolResult": {"toolUseId": call, "content": content or [{"text": " "}]}}]


def said_by_model(message: Message) -> list[Block]:
    found: list[Block] = []
    for detail in details_of(message, FORMAT):
        if detail.type == "reasoning.encrypted" and detail.data:
            found.append({"reasoningContent": {"redactedContent": detail.data}})
        elif detail.type == "reasoning.text" and detail.signature:
            text = {"text": detail.text or "", "signature": detail.signature}
            found.append({"reasoningContent": {"reasoningText": text}})
    found += [{"text": part.text or part.refusal} for part in parts_of(message)]
    for call in message.tool_calls or []:
        name, call_id = call.function.name, NO_ID.sub("_", call.id)
        found.append({"toolUse": {"toolUseId": call_id, "name": name, "input": arguments_of(call)}})
    return found


def block(part: Part) -> Block:
    if part.type in ("text", "refusal"):
        return {"text": part.text or part.refusal}
    media = media_of(part)
    if not media.data:
        raise unsupported("this provider takes images and files as data: URLs only")
    source = {"bytes": media.data}
    if media.mime.startswith("image/") and media.subtype in IMAGES:
        return {"image": {"format": media.subtype, "source": source}}
    if media.mime in DOCUMENTS:
        return {"document": {"format": DOCUMENTS[media.mime], "name": "document", "source": source}}
    raise unsupported(f"this provider takes no {media.mime}")
