"""Which provider answers: `provider.order`, `only`, `ignore`, `allow_fallbacks`, `models`, and the draw by price."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.errors import ApiError
from gateway.routing.bounds import Size
from gateway.routing.plan import plan
from providers.canonical import ChatRequest, Message, ProviderPreferences
from providers.pricing import Price
from providers.snapshot import Endpoint, Model, Snapshot
from tests.endpoints import provider
from tests.upstream import Upstream, failure

Ask = Callable[..., httpx.Response]
SIZE = Size(prompt=1000, output_limit=100, answers=1)


def endpoint(tag: str, price: int | None = 1000, **fields: Any) -> Endpoint:
    values: dict[str, Any] = {
        "id": uuid4(),
        "tag": tag,
        "model": "acme/m",
        "provider": provider(tag.split("/")[0]),
        "upstream_model": "m",
        "context_length": 8192,
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "quantization": "unknown",
        "supported_parameters": frozenset(),
        "first_token_timeout_s": None,
        "price": None if price is None else Price(1, price, price),
        **fields,
    }
    return Endpoint(**values)


def snapshot(*endpoints: Endpoint) -> Snapshot:
    values: dict[str, Any] = dict.fromkeys(Model.__struct_fields__)
    return Snapshot(providers={}, models={"acme/m": Model(**values | {"slug": "acme/m", "endpoints": endpoints})})


def tags(preferences: dict[str, Any], *endpoints: Endpoint, seed: int = 0) -> list[str]:
    chat = ChatRequest([Message("user", "Hi")], model="acme/m", provider=ProviderPreferences(**preferences))
    return [found.tag for found in plan(chat, snapshot(*endpoints), SIZE, Random(seed))]


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        ({"order": ["secondary"]}, "Secondary"),
        ({"order": ["tertiary", "secondary"]}, "Tertiary"),
        ({"order": ["TERTIARY"]}, "Tertiary"),
        ({"only": ["secondary"]}, "Secondary"),
        ({"ignore": ["primary", "tertiary"]}, "Secondary"),
        ({"only": ["primary", "secondary"], "ignore": ["Primary"]}, "Secondary"),
        ({"order": ["nobody", "tertiary"]}, "Tertiary"),
    ],
)
def test_preferences_choose_the_provider(
    ask: Ask, script: Upstream, preferences: dict[str, Any], expected: str
) -> None:
    assert ask(model="acme/three", provider=preferences).json()["provider"] == expected


@pytest.mark.parametrize("preferences", [{"only": ["nobody"]}, {"ignore": ["primary", "secondary", "tertiary"]}])
def test_nothing_left_is_404_and_says_why(ask: Ask, preferences: dict[str, Any]) -> None:
    response = ask(model="acme/three", provider=preferences)
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["availability"]["excluded_by"] == ["allowed_providers"]
    assert f"provider.{next(iter(preferences))}" in error["message"]


def test_without_fallbacks_only_the_first_choice_is_tried(ask: Ask, script: Upstream) -> None:
    script.script("three-secondary", failure(500))
    response = ask(model="acme/three", provider={"order": ["secondary"], "allow_fallbacks": False})
    assert response.status_code == 502
    assert len(script.seen()) == 1


def test_models_are_tried_after_model_in_their_order(ask: Ask, script: Upstream) -> None:
    script.script("one-primary", failure(503))
    body = ask(model="acme/one", models=["acme/other", "acme/three"]).json()
    assert (body["model"], body["provider"]) == ("acme/other", "Tertiary")


def test_models_alone_are_enough(ask: Ask, script: Upstream) -> None:
    assert ask(model=None, models=["acme/other"]).json()["model"] == "acme/other"


def test_the_draw_weighs_by_the_inverse_square_of_the_price() -> None:
    cheap, dear = endpoint("cheap", 1000), endpoint("dear", 3000)
    first = Counter(tags({}, cheap, dear, seed=seed)[0] for seed in range(4000))
    # Nine times likelier, as 3² is; 4,000 draws stray by less than this.
    assert 7.5 < first["cheap"] / first["dear"] < 10.8


def test_what_is_free_comes_first() -> None:
    assert all(tags({}, endpoint("paid"), endpoint("free", 0), seed=seed)[0] == "free" for seed in range(50))


def test_an_endpoint_without_a_price_is_never_called() -> None:
    assert tags({}, endpoint("priced"), endpoint("unpriced", None)) == ["priced"]
    with pytest.raises(ApiError) as refused:
        tags({}, endpoint("unpriced", None))
    assert refused.value.status == 404


def test_a_base_slug_names_all_its_variants_and_a_full_tag_one() -> None:
    endpoints = [endpoint("acme"), endpoint("acme/turbo"), endpoint("acme/eu"), endpoint("acmeother")]
    assert sorted(tags({"only": ["acme"]}, *endpoints)) == ["acme", "acme/eu", "acme/turbo"]
    assert tags({"only": ["acme/eu"]}, *endpoints) == ["acme/eu"]


def test_order_puts_the_named_first_and_keeps_the_rest() -> None:
    endpoints = [endpoint("a"), endpoint("b"), endpoint("c")]
    for seed in range(20):
        found = tags({"order": ["c", "a"]}, *endpoints, seed=seed)
        assert found == ["c", "a", "b"]


def test_order_without_fallbacks_keeps_only_the_named() -> None:
    endpoints = [endpoint("a"), endpoint("b"), endpoint("c")]
    assert tags({"order": ["c", "a"], "allow_fallbacks": False}, *endpoints) == ["c", "a"]


def test_a_prompt_beyond_what_the_price_covers_goes_elsewhere() -> None:
    assert tags({}, endpoint("small", max_prompt_tokens=400), endpoint("large")) == ["large"]
