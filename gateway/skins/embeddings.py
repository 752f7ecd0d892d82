"""Embeddings: vectors for texts (§1.11). Nothing is streamed, and only the prompt is paid for."""

import base64
import sys
from array import array
from typing import Any, NoReturn

import msgspec
from msgspec import Raw

from billing.money import NANO_PER_USD
from gateway import parse
from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.skins import canonical
from gateway.skins.usage import cost_details
from providers.canonical import ChatRequest, Completion, EmbeddingRequest, Request
from providers.snapshot import Endpoint

decoder = msgspec.json.Decoder(EmbeddingRequest)
decode_text = msgspec.json.Decoder(str).decode
decode_numbers = msgspec.json.Decoder(list[float]).decode
encode = msgspec.json.Encoder().encode


class Embeddings:
    def parse(self, body: bytes) -> Request:
        asked, fields = canonical.read(decoder, body)
        chat = ChatRequest(
            messages=[], model=asked.model, models=asked.models, provider=asked.provider, user=asked.user
        )
        if not chat.candidates:
            raise parse.required("model")
        return Request(chat, fields, embedding=asked)

    def completion(self, generation: Generation, endpoint: Endpoint, answer: Completion, charge: int) -> bytes:
        asked = generation.request.embedding
        is_base64 = asked is not None and asked.encoding_format == "base64"
        count = generation.count()
        return encode(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": place, "embedding": written(vector, is_base64)}
                    for place, vector in enumerate(answer.vectors)
                ],
                "model": endpoint.model,
                "provider": endpoint.provider.name,
                "id": generation.public_id,
                "usage": {
                    "prompt_tokens": count.prompt,
                    "total_tokens": count.prompt,
                    "cost": charge / NANO_PER_USD,
                    "is_byok": False,
                    "cost_details": cost_details(count, endpoint),
                },
            }
        )

    def writer(self, generation: Generation, model: str, provider_name: str) -> NoReturn:
        raise NotImplementedError("embeddings are not streamed")

    def envelope(self, error: ApiError) -> dict[str, object]:
        return {"error": error.body()}


def written(vector: Raw, is_base64: bool) -> Any:
    """As it was asked for, whatever the provider has: little-endian float32 in base64, or numbers."""
    is_text = bytes(memoryview(vector)[:1]) == b'"'
    if is_text == is_base64:
        return vector
    try:
        if is_base64:
            return base64.b64encode(swapped(array("f", decode_numbers(vector))).tobytes()).decode()
        return swapped(array("f", base64.b64decode(decode_text(vector)))).tolist()
    except (ValueError, OverflowError):
        # Neither the one nor the other: the client gets what the provider has sent and was paid for.
        return vector


def swapped(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
