"""GET /generation: what an answer had beside text."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.test_stream import generation
from tests.upstream import Upstream, chunk, text_reply

Ask = Callable[..., httpx.Response]
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
LISTED = {
    *("id", "api_type", "app_id", "cache_discount", "cancelled", "created_at", "data_region", "external_user"),
    *("finish_reason", "generation_time", "http_referer", "is_byok", "latency", "model", "moderation_latency"),
    *("native_finish_reason", "native_tokens_prompt", "native_tokens_completion", "native_tokens_reasoning"),
    *("native_tokens_cached", "native_tokens_completion_images", "num_fetches", "num_input_audio_prompt"),
    *("num_media_prompt", "num_media_completion", "num_search_results", "origin", "preset_id", "provider_name"),
    *("provider_responses", "router", "service_tier", "session_id", "streamed", "tokens_prompt"),
    *("tokens_completion", "total_cost", "upstream_id", "upstream_inference_cost", "usage", "user_agent"),
    *("web_search_engine", "workspace_id"),
}
PLAIN = {
    "cache_discount": None,
    "native_tokens_completion_images": 0,
    "num_input_audio_prompt": 0,
    "num_media_prompt": 0,
    "num_media_completion": 0,
    "service_tier": None,
    "router": None,
}


def told(api: httpx.Client, response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return generation(api, response.headers["X-Generation-Id"])


def test_a_plain_answer_has_none_of_it(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    found = told(api, ask())
    assert found.keys() >= LISTED
    assert {name: found[name] for name in PLAIN} == PLAIN


def test_images_of_prompt_and_answer_are_counted(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 40,
        "completion_tokens_details": {"image_tokens": 30},
    }
    content = [{"type": "text", "text": "Draw"}, PIXEL, PIXEL]
    reply = text_reply(usage=usage)
    reply["reply"]["choices"][0]["message"]["images"] = [PIXEL]
    streamed = [
        chunk({"content": "Here", "images": [PIXEL]}),
        chunk({}, "stop"),
        {"chunk": {"choices": [], "usage": usage}},
        {"done": True},
    ]
    for steps, stream in (([reply], False), (streamed, True)):
        script.script("one-primary", steps)
        found = told(api, ask(content=content, stream=stream))
        counts = [found[name] for name in ("num_media_prompt", "num_media_completion", "num_input_audio_prompt")]
        assert (counts, found["native_tokens_completion_images"]) == ([2, 1, 0], 30)


def test_what_the_cache_saved_is_told(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 600}}
    script.script("one-primary", [text_reply(usage=usage)])
    found = told(api, ask())
    assert found["cache_discount"] == pytest.approx(600 * (1e-6 - 1e-7), abs=1e-9)
    assert found["total_cost"] == pytest.approx(400e-6 + 600e-7 + 8e-6, abs=1e-9)


def test_a_routers_name_is_told(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    response = ask(model="openrouter/auto")
    assert told(api, response)["router"] == "openrouter/auto"
