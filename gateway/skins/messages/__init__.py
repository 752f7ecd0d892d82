"""Anthropic's Messages, in front of any model (§2B.2)."""

from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.skins.messages import answer, request
from gateway.skins.messages.stream import MessageWriter
from providers.canonical import Completion, Request
from providers.snapshot import Endpoint


class Messages:
    def parse(self, body: bytes) -> Request:
        return request.parse(body)

    def completion(self, generation: Generation, endpoint: Endpoint, found: Completion, charge: int) -> bytes:
        return answer.message(generation, endpoint, found, charge)

    def writer(self, generation: Generation, model: str, provider_name: str) -> MessageWriter:
        return MessageWriter(generation, model, provider_name)

    def envelope(self, error: ApiError) -> dict[str, object]:
        return answer.envelope(error, error.generation)
