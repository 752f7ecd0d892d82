"""What goes out to chat clients: completion bodies and stream chunks, as the reference writes them (§2.6, §2.10)."""

import msgspec

from billing.ledger import NANO_PER_USD
from gateway.errors import ApiError
from gateway.generation import Generation
from providers.canonical import ChunkChoice, Completion, Delta, Usage
from providers.pricing import PICO
from providers.snapshot import Endpoint

KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"

encode = msgspec.json.Encoder().encode


def completion(generation: Generation, endpoint: Endpoint, answer: Completion, charge: int) -> bytes:
    return encode(
        {
            "id": generation.public_id,
            "object": "chat.completion",
            "created": generation.created,
            "model": endpoint.model,
            "provider": endpoint.provider.name,
            "system_fingerprint": answer.system_fingerprint,
            "choices": answer.choices,
            "usage": usage(generation.count(), endpoint, charge),
        }
    )


def usage(count: Usage, endpoint: Endpoint, charge: int) -> dict[str, object]:
    """Counters are always there and never null (§2.11); dollars are floats."""
    price = endpoint.price
    prompt = price.prompt_part(count) if price else 0
    completion = price.completion_part(count) if price else 0
    return {
        "prompt_tokens": count.prompt,
        "completion_tokens": count.completion,
        "total_tokens": count.prompt + count.completion,
        "cost": charge / NANO_PER_USD,
        "is_byok": False,
        "prompt_tokens_details": {
            "cached_tokens": count.cached,
            "cache_write_tokens": count.cache_write,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": count.reasoning, "audio_tokens": 0, "image_tokens": 0},
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_prompt_cost": prompt / PICO,
            "upstream_inference_completions_cost": completion / PICO,
        },
    }


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

    def content(self, choices: list[ChunkChoice]) -> bytes:
        return self._head + encode(choices) + b"}\n\n"

    def ending(self, generation: Generation, endpoint: Endpoint, charge: int) -> bytes:
        """The usage chunk repeats the finish reason in one choice, unlike OpenAI's empty list; then the end."""
        last = ChunkChoice(
            0,
            Delta(content=""),
            finish_reason=generation.finish_reason,
            native_finish_reason=generation.native_finish_reason,
        )
        counted = encode(usage(generation.count(), endpoint, charge))
        return self._head + encode([last]) + b',"usage":' + counted + b"}\n\n" + DONE

    def error(self, error: ApiError) -> bytes:
        """An error after the status was sent: a complete chunk beside the error, then the end."""
        last = ChunkChoice(0, Delta(content=""), finish_reason="error", native_finish_reason=None)
        return self._head + encode([last]) + b',"error":' + encode(error.body()) + b"}\n\n" + DONE
