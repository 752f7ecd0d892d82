"""Completions: a prompt in, text out (§2B.3). Models are asked as in a chat of one message."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.routing import told
from gateway.skins import canonical
from gateway.skins.canonical import bad
from gateway.skins.chat import DONE, is_hidden, routing_beside, routing_of, tell_reasoning
from gateway.skins.usage import usage
from providers import surrogates
from providers.canonical import NULL, ChunkChoice, Completion, Native, Request
from providers.snapshot import Endpoint

# What a chat has no counterpart of: refused where it would change the answer.
UNKNOWN = ("suffix", "best_of")
NOT_PASSED = frozenset({"prompt", "messages", "logprobs", "top_logprobs", "echo", *UNKNOWN})

encode = msgspec.json.Encoder().encode


class CompletionRequest(Struct, frozen=True):
    """What differs from a chat."""

    prompt: str | list[str | int | list[int]]
    model: str | None = None
    stream: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | bool | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


class Token(Struct, frozen=True):
    token: str
    logprob: float


class TopToken(Token, frozen=True):
    top_logprobs: list[Token] = []


class Logprobs(Struct, frozen=True):
    content: list[TopToken] | None = None


decoder = msgspec.json.Decoder(CompletionRequest)
decode_logprobs = msgspec.json.Decoder(Logprobs | None).decode


class Completions:
    def parse(self, body: bytes) -> Request:
        asked, fields = canonical.read(decoder, body)
        if asked.echo or asked.suffix or (asked.best_of or 1) > 1:
            name = "echo" if asked.echo else "suffix" if asked.suffix else "best_of"
            raise bad(name, "it is not supported here.")
        chat: dict[str, Any] = {name: raw for name, raw in fields.items() if name not in NOT_PASSED}
        chat["messages"] = [{"role": "user", "content": prompt(asked)}]
        if asked.logprobs is not None and asked.logprobs is not False:
            chat["logprobs"] = True
            chat["top_logprobs"] = int(asked.logprobs) or None
        return canonical.request(chat, "openai", {})

    def completion(self, generation: Generation, endpoint: Endpoint, answer: Completion, charge: int) -> bytes:
        choices = []
        for choice in answer.choices:
            message = choice.message
            tell_reasoning(message, is_hidden(generation))
            one = text_choice(choice.index, message.content or "", choice.logprobs, choice.finish_reason)
            one["native_finish_reason"] = choice.native_finish_reason
            if message.reasoning:
                one |= {"reasoning": message.reasoning, "reasoning_details": message.reasoning_details}
            choices.append(one)
        counted = usage(generation.count(), endpoint, charge)
        begin = head(generation, endpoint.model, endpoint.provider.name)
        return encode({**begin, "choices": choices, "usage": counted, **told.beside(generation)})

    def writer(self, generation: Generation, model: str, provider_name: str) -> "TextWriter":
        return TextWriter(generation, model, provider_name)

    def envelope(self, error: ApiError) -> dict[str, object]:
        return {"error": error.body(), **told.beside_error(error)}


class TextWriter:
    def __init__(self, generation: Generation, model: str, provider_name: str) -> None:
        self._head = b"data: " + encode(head(generation, model, provider_name))[:-1] + b',"choices":'
        self._is_hidden = is_hidden(generation)
        self._generation = generation

        self._text = self._head + b'[{"text":'

    def content(self, choices: list[ChunkChoice]) -> bytes:
        if len(choices) == 1 and is_only_text(choices[0]):
            return b"%b%b%b" % (self._text, encode(choices[0].delta.content or ""), REST)
        found = []
        for choice in choices:
            delta = choice.delta
            tell_reasoning(delta, self._is_hidden)
            one = text_choice(choice.index, delta.content or "", choice.logprobs, choice.finish_reason)
            one["native_finish_reason"] = choice.native_finish_reason
            if delta.reasoning:
                one |= {"reasoning": delta.reasoning, "reasoning_details": delta.reasoning_details}
            found.append(one)
        return self._head + encode(found) + b"}\n\n"

    def native(self, event: Native) -> bytes:
        """No wire has words for this family alone."""
        return b""

    def ending(self, generation: Generation, endpoint: Endpoint, charge: int) -> bytes:
        last = text_choice(0, "", NULL, generation.finish_reason)
        last["native_finish_reason"] = generation.native_finish_reason
        counted = encode(usage(generation.count(), endpoint, charge))
        return self._head + encode([last]) + b',"usage":' + counted + routing_of(generation) + b"}\n\n" + DONE

    def error(self, error: ApiError) -> bytes:
        last = text_choice(0, "", NULL, "error")
        routing = routing_beside(error, self._generation)
        return self._head + encode([last]) + b',"error":' + encode(error.body()) + routing + b"}\n\n" + DONE


# Of a choice behind its text, where there is nothing else to say.
REST = b',"index":0,"logprobs":null,"finish_reason":null,"native_finish_reason":null}]}\n\n'


def is_only_text(choice: ChunkChoice) -> bool:
    """Most pieces of most answers."""
    is_plain = choice.finish_reason is None and choice.index == 0 and choice.logprobs == NULL
    return is_plain and not choice.delta.reasoning and not choice.delta.reasoning_details


def prompt(asked: CompletionRequest) -> str:
    """One text: several prompts, or tokens of an unknown vocabulary, no chat can hold."""
    if isinstance(asked.prompt, str):
        return asked.prompt
    if len(asked.prompt) == 1 and isinstance(asked.prompt[0], str):
        return asked.prompt[0]
    raise bad("prompt", "one text is supported; several prompts and tokens are not.")


def head(generation: Generation, model: str, provider_name: str) -> dict[str, Any]:
    return {
        "id": generation.public_id,
        "object": "text_completion",
        "created": generation.created,
        "model": model,
        "provider": provider_name,
    }


def text_choice(index: int, text: str, logprobs: Raw, finish_reason: str | None) -> dict[str, Any]:
    return {
        "text": text,
        "index": index,
        "logprobs": legacy(logprobs),
        "finish_reason": finish_reason,
        "native_finish_reason": None,
    }


def legacy(raw: Raw) -> dict[str, Any] | None:
    """A chat's logprobs in the older shape."""
    if raw == NULL:
        return None
    try:
        found = surrogates.lenient(decode_logprobs, bytes(raw))
    except msgspec.DecodeError:
        return None
    if found is None or found.content is None:
        return None
    tokens, offsets, length = found.content, [], 0
    for one in tokens:
        offsets.append(length)
        length += len(one.token)
    return {
        "tokens": [one.token for one in tokens],
        "token_logprobs": [one.logprob for one in tokens],
        "top_logprobs": [{top.token: top.logprob for top in one.top_logprobs} for one in tokens],
        "text_offset": offsets,
    }
