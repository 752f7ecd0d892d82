"""Chat completions, the canonical form itself: bodies and chunks as the reference writes them (§2.6, §2.10)."""

import msgspec
from msgspec import UNSET

from gateway import parse
from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.routing import told
from gateway.skins.reasoning import UNKNOWN
from gateway.skins.usage import usage
from providers.canonical import Answer, ChunkChoice, Completion, Delta, Native, ReasoningDetail, Request
from providers.snapshot import Endpoint

MOST_STOPS = 4
DONE = b"data: [DONE]\n\n"

encode = msgspec.json.Encoder().encode


class Chat:
    def parse(self, body: bytes) -> Request:
        request = parse.chat(body)
        if isinstance(request.chat.stop, list) and len(request.chat.stop) > MOST_STOPS:
            raise ApiError(400, f"stop: at most {MOST_STOPS} of them.")
        return request

    def completion(self, generation: Generation, endpoint: Endpoint, answer: Completion, charge: int) -> bytes:
        for choice in answer.choices:
            tell_reasoning(choice.message, is_hidden(generation))
        body: dict[str, object] = {
            "id": generation.public_id,
            "object": "chat.completion",
            "created": generation.created,
            "model": endpoint.model,
            "provider": endpoint.provider.name,
            "system_fingerprint": answer.system_fingerprint,
            "choices": answer.choices,
            "usage": usage(generation.count(), endpoint, charge),
        }
        if endpoint.service_tier:
            body["service_tier"] = endpoint.service_tier
        return encode(body | told.beside(generation))

    def writer(self, generation: Generation, model: str, provider_name: str) -> "ChunkWriter":
        return ChunkWriter(generation, model, provider_name)

    def envelope(self, error: ApiError) -> dict[str, object]:
        return {"error": error.body(), **told.beside_error(error)}


def is_hidden(generation: Generation) -> bool:
    """The model reasons, and is paid for it, but the client does not want to see it."""
    thinking = generation.request.chat.thinking
    return thinking is not None and bool(thinking.exclude)


def tell_reasoning(said: Answer | Delta, is_hidden: bool) -> None:
    """Details stand beside the text always, so that clients need to send only them back."""
    if is_hidden:
        if isinstance(said, Answer):
            said.reasoning = None
        else:
            said.reasoning = UNSET
        said.reasoning_details = UNSET
    elif said.reasoning and said.reasoning_details is UNSET:
        said.reasoning_details = [ReasoningDetail("reasoning.text", text=said.reasoning, format=UNKNOWN, index=0)]


class ChunkWriter:
    """Chunks of one stream: id, created, model and provider are the same in all, so they are written once."""

    def __init__(self, generation: Generation, model: str, provider_name: str) -> None:
        head = encode(
            {
                "id": generation.public_id,
                "object": "chat.completion.chunk",
                "created": generation.created,
                "model": model,
                "provider": provider_name,
            }
        )
        self._head = b"data: " + head[:-1] + b',"choices":'
        self._is_hidden = is_hidden(generation)
        self._before = b"".join(self._echo(sent) for sent in generation.echoes or ())
        self._generation = generation

    def content(self, choices: list[ChunkChoice]) -> bytes:
        for choice in choices:
            delta = choice.delta
            if delta.reasoning is not UNSET or delta.reasoning_details is not UNSET:
                tell_reasoning(delta, self._is_hidden)
        if self._before:
            before, self._before = self._before, b""
            return before + self._head + encode(choices) + b"}\n\n"
        return self._head + encode(choices) + b"}\n\n"

    def native(self, event: Native) -> bytes:
        """No wire has words for this family alone."""
        return b""

    def _echo(self, sent: bytes) -> bytes:
        """One for each provider that was tried: the body that it got."""
        return self._head + b'[],"debug":{"echo_upstream_body":' + sent + b"}}\n\n"

    def ending(self, generation: Generation, endpoint: Endpoint, charge: int) -> bytes:
        """The usage chunk repeats the finish reason in one choice, unlike OpenAI's empty list; then the end."""
        last = ChunkChoice(
            0,
            Delta(content=""),
            finish_reason=generation.finish_reason,
            native_finish_reason=generation.native_finish_reason,
        )
        counted = encode(usage(generation.count(), endpoint, charge))
        return self._head + encode([last]) + b',"usage":' + counted + routing_of(generation) + b"}\n\n" + DONE

    def error(self, error: ApiError) -> bytes:
        """An error after the status was sent: a complete chunk beside the error, then the end."""
        last = ChunkChoice(0, Delta(content=""), finish_reason="error", native_finish_reason=None)
        routing = routing_beside(error, self._generation)
        return (
            self._before + self._head + encode([last]) + b',"error":' + encode(error.body()) + routing + b"}\n\n" + DONE
        )


def routing_of(generation: Generation) -> bytes:
    """The last member of a chunk, where it was asked for."""
    routing = told.metadata(generation)
    return b',"openrouter_metadata":' + encode(routing) if routing is not None else b""


def routing_beside(error: ApiError, generation: Generation) -> bytes:
    """An internal error stands alone."""
    return b"" if error.status == 500 else routing_of(generation)
