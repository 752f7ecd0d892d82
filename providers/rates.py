"""What each kind of token or unit costs when discount and conditions are applied: pico-USD."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from providers.canonical import Details, Usage

MILLION = 10**6
# As the reference names them (§1.3), but `image_output_token`, which it has not.
AMOUNTS = (
    "prompt",
    "completion",
    "request",
    "image",
    "image_token",
    "image_output",
    "image_output_token",
    "audio",
    "audio_output",
    "input_audio_cache",
    "web_search",
    "internal_reasoning",
    "input_cache_read",
    "input_cache_write",
    "input_cache_write_1h",
)


class Rates(Struct, frozen=True):
    """What each kind of token or unit costs when all is applied."""

    prompt: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio: int
    audio_cache: int
    image_token: int
    completion: int
    reasoning: int
    audio_output: int
    image_output_token: int
    request: int
    image: int
    image_output: int
    search: int

    @property
    def dearest_prompt(self) -> int:
        cached = max(self.cache_read, self.cache_write, self.cache_write_1h, self.audio_cache)
        return max(self.prompt, self.audio, self.image_token, cached)

    @property
    def dearest_completion(self) -> int:
        return max(self.completion, self.reasoning, self.audio_output, self.image_output_token)


def rates_of(amounts: Mapping[str, Any], discount: int) -> Rates:
    own = {name: part(amount, MILLION - discount) for name, amount in amounts.items()}

    def first(*names: str) -> int:
        return next((amount for name in names if (amount := own[name]) is not None), 0)

    return Rates(
        prompt=first("prompt"),
        cache_read=first("input_cache_read", "prompt"),
        cache_write=first("input_cache_write", "prompt"),
        cache_write_1h=first("input_cache_write_1h", "input_cache_write", "prompt"),
        audio=first("audio", "prompt"),
        audio_cache=first("input_audio_cache", "input_cache_read", "audio", "prompt"),
        image_token=first("image_token", "prompt"),
        completion=first("completion"),
        reasoning=first("internal_reasoning", "completion"),
        audio_output=first("audio_output", "completion"),
        image_output_token=first("image_output_token", "completion"),
        request=first("request"),
        image=first("image"),
        image_output=first("image_output"),
        search=first("web_search"),
    )


def part(amount: int | None, millionths: int) -> int | None:
    """So many millionths of an amount, rounded half up."""
    return None if amount is None else (amount * millionths + MILLION // 2) // MILLION


def mixed_prompt(rates: Rates, usage: Usage, details: Details) -> int:
    kinds = (
        (details.cached_audio, rates.audio_cache),
        (usage.cached - details.cached_audio, rates.cache_read),
        (details.cache_write_1h, rates.cache_write_1h),
        (usage.cache_write - details.cache_write_1h, rates.cache_write),
        (details.audio - details.cached_audio, rates.audio),
        (details.image_tokens, rates.image_token),
    )
    fees = rates.request + details.images * rates.image + details.searches * rates.search
    return fees + mixed(usage.prompt, rates.prompt, kinds)


def mixed_completion(rates: Rates, usage: Usage, details: Details) -> int:
    kinds = (
        (usage.reasoning, rates.reasoning),
        (details.output_audio, rates.audio_output),
        (details.output_image_tokens, rates.image_output_token),
    )
    return details.output_images * rates.image_output + mixed(usage.completion, rates.completion, kinds)


def mixed(tokens: int, plain_rate: int, kinds: tuple[tuple[int, int], ...]) -> int:
    """What is of no kind is plain; parts beyond their whole count for nothing."""
    rest, total = tokens, 0
    for part_of_them, rate in kinds:
        taken = min(max(part_of_them, 0), rest)
        rest -= taken
        total += taken * rate
    return total + rest * plain_rate
