"""Tokens and dollars as the reference writes them (§2.8)."""

from billing.money import NANO_PER_USD
from providers.canonical import Details, Usage
from providers.dollars import PICO
from providers.snapshot import Endpoint

NO_DETAILS = Details()


def usage(count: Usage, endpoint: Endpoint, charge: int) -> dict[str, object]:
    """Counters are always there and never null (§2.11); dollars are floats."""
    details = count.details or NO_DETAILS
    return {
        "prompt_tokens": count.prompt,
        "completion_tokens": count.completion,
        "total_tokens": count.prompt + count.completion,
        "cost": charge / NANO_PER_USD,
        "is_byok": False,
        "prompt_tokens_details": {
            "cached_tokens": count.cached,
            "cache_write_tokens": count.cache_write,
            "audio_tokens": details.audio,
            "video_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": count.reasoning,
            "audio_tokens": details.output_audio,
            "image_tokens": details.output_image_tokens,
        },
        "cost_details": cost_details(count, endpoint),
    }


def cost_details(count: Usage, endpoint: Endpoint) -> dict[str, object]:
    price = endpoint.price
    prompt = price.prompt_part(count) if price else 0
    completion = price.completion_part(count) if price else 0
    return {
        "upstream_inference_cost": None,
        "upstream_inference_prompt_cost": prompt / PICO,
        "upstream_inference_completions_cost": completion / PICO,
    }
