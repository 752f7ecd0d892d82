"""Tokens with a price of their own arrive at the price: an hour of cache, audio, images; whole and streamed."""

from typing import Any

import msgspec
import pytest

from providers.adapters import WIRES
from providers.canonical import Details, Usage
from providers.pricing import Price
from tests.providers.told import of_stream, of_whole, payload

PRICE = Price(
    1,
    prompt=1_000,
    completion=10_000,
    audio=3_000,
    audio_output=50_000,
    image_token=2_000,
    image_output_token=70_000,
    input_audio_cache=300,
    input_cache_read=100,
    input_cache_write=1_250,
    input_cache_write_1h=2_000,
)


def whole(wire: str, told: dict[str, Any]) -> Usage | None:
    """The recorded plain answer, with another count."""
    answer = msgspec.json.decode(payload(wire, "plain.json")) | told
    return of_whole(WIRES[wire].completion(msgspec.json.encode(answer))).usage


def picos(usage: Usage) -> int:
    return PRICE.prompt_part(usage) + PRICE.completion_part(usage)


ANTHROPIC: dict[str, Any] = {"input_tokens": 76, "cache_read_input_tokens": 1024, "output_tokens": 90}


@pytest.mark.parametrize(
    ("kept", "details"),
    [
        ({"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}, Details(cache_write_1h=40)),
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100}, Details(cache_write_1h=100)),
        ({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0}, None),
        ({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": -5}, None),
        (None, None),
    ],
)
def test_anthropic_tells_how_long_it_keeps(kept: dict[str, int] | None, details: Details | None) -> None:
    told = {"usage": ANTHROPIC | {"cache_creation_input_tokens": 100, "cache_creation": kept}}
    expected = Usage(1200, 90, cached=1024, cache_write=100, details=details)
    usage = whole("anthropic", told)
    assert usage == expected
    hour = details.cache_write_1h if details else 0
    assert picos(expected) == 76 * 1_000 + 1024 * 100 + (100 - hour) * 1_250 + hour * 2_000 + 90 * 10_000


def test_anthropics_stream_tells_it_at_its_start() -> None:
    usage = of_stream("anthropic", [payload("anthropic", "plain.sse")]).usage
    assert usage == Usage(1200, 90, cached=1024, cache_write=100, details=Details(cache_write_1h=40))


BEDROCK = [{"ttl": "1h", "inputTokens": 40}, {"ttl": "5m", "inputTokens": 60}]


@pytest.mark.parametrize(
    ("kept", "details"), [(BEDROCK, Details(cache_write_1h=40)), (BEDROCK[1:], None), ([], None), (None, None)]
)
def test_bedrock_tells_it_by_duration(kept: list[dict[str, Any]] | None, details: Details | None) -> None:
    plain = msgspec.json.decode(payload("bedrock", "plain.json"))["usage"]
    usage = whole("bedrock", {"usage": plain | {"cacheDetails": kept}})
    assert usage == Usage(1200, 90, cached=1024, cache_write=100, details=details)


def test_bedrocks_stream_tells_it_at_its_end() -> None:
    usage = of_stream("bedrock", [payload("bedrock", "plain.frames")]).usage
    assert usage == Usage(1200, 90, cached=1024, cache_write=100, details=Details(cache_write_1h=40))


def modalities(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


GEMINI = {
    "promptTokenCount": 1000,
    "candidatesTokenCount": 300,
    "thoughtsTokenCount": 50,
    "cachedContentTokenCount": 400,
    "toolUsePromptTokenCount": 20,
    "promptTokensDetails": modalities(text=200, audio=500, image=300),
    "cacheTokensDetails": modalities(text=50, audio=150, image=200),
    "toolUsePromptTokensDetails": modalities(text=10, image=10),
    "candidatesTokensDetails": modalities(text=100, audio=80, image=120),
}
MIXED = Usage(
    1020,
    350,
    cached=400,
    reasoning=50,
    details=Details(audio=500, cached_audio=150, image_tokens=110, output_audio=80, output_image_tokens=120),
)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_gemini_tells_its_count_by_modality(is_stream: bool) -> None:
    told = {"usageMetadata": GEMINI}
    if is_stream:
        usage = of_stream("gemini", [b"data: %b\r\n\r\n" % msgspec.json.encode(told)]).usage
    else:
        usage = whole("gemini", told)
    assert usage == MIXED
    # What is cached is in the modalities too, and is charged once.
    prompt = 160 * 1_000 + 150 * 300 + 250 * 100 + 350 * 3_000 + 110 * 2_000
    assert picos(usage) == prompt + (100 + 50) * 10_000 + 80 * 50_000 + 120 * 70_000


@pytest.mark.parametrize("said", [None, [], modalities(text=1200), modalities(video=5, document=7)])
def test_text_has_no_details(said: list[dict[str, Any]] | None) -> None:
    plain = msgspec.json.decode(payload("gemini", "plain.json"))["usageMetadata"]
    usage = whole("gemini", {"usageMetadata": plain | {"promptTokensDetails": said, "candidatesTokensDetails": said}})
    assert usage is not None
    assert usage.details is None
