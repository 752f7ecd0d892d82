"""The planner by itself: which endpoints of a made-up catalogue may answer, and in which order."""

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

import pytest

from accounts.policy import Policy
from gateway.errors import ApiError
from gateway.routing.bounds import size
from gateway.routing.live import EndpointView, Percentiles
from gateway.routing.plan import plan
from gateway.routing.sessions import Place
from providers.pricing import Price
from providers.snapshot import Endpoint, Snapshot
from tests.endpoints import endpoint, model, provider, request, snapshot

ZDR = partial(provider, trains_on_data=False, retention_days=0)


def figures(p50: float, **more: float) -> Percentiles:
    return Percentiles(**{"p50": p50, "p75": p50, "p90": p50, "p99": p50, **more})


def tags(
    body: dict[str, Any],
    *endpoints: Endpoint,
    seed: int = 0,
    policy: Policy | None = None,
    seen: dict[str, EndpointView] | None = None,
    catalogue: Snapshot | None = None,
    stuck: Place | None = None,
) -> list[str]:
    asked = request(**body)
    found = plan(
        asked,
        catalogue or snapshot(*endpoints),
        size(asked),
        Random(seed),
        views={one.id.int: seen[one.tag] for one in endpoints if seen and one.tag in seen},
        policy=policy or Policy(),
        stuck=stuck,
    )
    return [endpoint.tag for endpoint in found.candidates]


def preferring(**preferences: Any) -> dict[str, Any]:
    return {"provider": preferences}


def refusal(body: dict[str, Any], *endpoints: Endpoint, **more: Any) -> dict[str, Any]:
    with pytest.raises(ApiError) as refused:
        tags(body, *endpoints, **more)
    error = refused.value.body()
    return {"message": error["message"], "status": error["code"], **error.get("availability", {})}


def shares(body: dict[str, Any], *endpoints: Endpoint, draws: int = 4000, **more: Any) -> dict[str, float]:
    """How often each comes first."""
    first = Counter(tags(body, *endpoints, seed=seed, **more)[0] for seed in range(draws))
    return {tag: count / draws for tag, count in first.items()}


# The draw


def test_the_draw_weighs_by_the_inverse_square_of_the_price() -> None:
    found = shares({}, endpoint("cheap", 1000), endpoint("dear", 3000))
    # Nine times likelier, as 3² is; 4,000 draws stray by less than this.
    assert 7.5 < found["cheap"] / found["dear"] < 10.8


def test_one_with_an_outage_comes_last_as_in_the_reference() -> None:
    endpoints = [endpoint("one", 1000), endpoint("two", 2000), endpoint("three", 3000)]
    seen = {"two": EndpointView(had_outage=True)}
    for seed in range(50):
        assert tags({}, *endpoints, seed=seed, seen=seen)[-1] == "two"
    assert 0.87 < shares({}, *endpoints, seen=seen)["one"] < 0.93


def test_an_open_breaker_is_the_last_resort_whatever_is_asked() -> None:
    endpoints = [endpoint("a", 1), endpoint("b", 1000), endpoint("c", 2000)]
    seen = {"a": EndpointView(is_open=True), "c": EndpointView(had_outage=True)}
    for preferences in ({}, {"sort": "price"}, {"order": ["a", "b"]}):
        assert tags(preferring(**preferences), *endpoints, seen=seen)[-1] == "a"
    assert tags({}, *endpoints, seen=seen) == ["b", "c", "a"]


def test_the_price_is_this_requests_by_what_the_endpoint_usually_answers() -> None:
    endpoints = [endpoint("brief", 1000), endpoint("long", 1000)]
    seen = {"brief": EndpointView(mean_completion=100), "long": EndpointView(mean_completion=300)}
    found = shares({}, *endpoints, seen=seen)
    assert found["brief"] > 3 * found["long"]
    limited = shares({"max_tokens": 50}, *endpoints, seen=seen)
    assert 0.8 < limited["brief"] / limited["long"] < 1.25


def test_a_long_prompt_makes_the_prompts_price_count() -> None:
    reader = endpoint("reader", Price(1, 100, 10_000), context_length=10**6)
    writer = endpoint("writer", 1000, context_length=10**6)
    body = {"messages": [{"role": "user", "content": "word " * 20_000}], "max_tokens": 10}
    assert tags({**body, **preferring(sort="price")}, reader, writer) == ["reader", "writer"]
    assert tags({"max_tokens": 1000, **preferring(sort="price")}, reader, writer) == ["writer", "reader"]


def test_what_is_free_comes_first() -> None:
    assert all(tags({}, endpoint("paid"), endpoint("free", 0), seed=seed)[0] == "free" for seed in range(50))


def test_an_operators_weight_turns_the_draw() -> None:
    found = shares({}, endpoint("half", weight=0.5), endpoint("whole"))
    assert 1.7 < found["whole"] / found["half"] < 2.35
    assert shares({}, endpoint("none", 1, weight=0.0), endpoint("whole"), draws=50) == {"whole": 1.0}
    assert tags({}, endpoint("none", weight=0.0)) == ["none"]


def test_what_drains_takes_nothing_new() -> None:
    assert tags({}, endpoint("drains", is_draining=True), endpoint("stays")) == ["stays"]
    error = refusal({}, endpoint("drains", is_draining=True))
    assert (error["status"], error["code"], error["retryable"]) == (503, "temporarily_unavailable", True)


def test_an_endpoint_without_a_price_is_never_called() -> None:
    assert tags({}, endpoint("priced"), endpoint("unpriced", None)) == ["priced"]
    assert refusal({}, endpoint("unpriced", None))["code"] == "no_endpoints"


# Names


def test_a_base_slug_names_all_its_variants_and_a_full_tag_one() -> None:
    endpoints = [endpoint("acme"), endpoint("acme/turbo"), endpoint("acme/eu"), endpoint("acmeother")]
    assert sorted(tags(preferring(only=["acme"]), *endpoints)) == ["acme", "acme/eu", "acme/turbo"]
    assert tags(preferring(only=["acme/eu"]), *endpoints) == ["acme/eu"]
    assert tags(preferring(only=["ACME/Eu"]), *endpoints) == ["acme/eu"]
    assert tags(preferring(ignore=["acme"]), *endpoints) == ["acmeother"]


def test_display_names_are_slugs_too() -> None:
    google = endpoint("google-vertex/us-east5", provider=provider("google-vertex", name="Google Vertex"))
    assert tags(preferring(only=["google vertex"]), google, endpoint("b")) == ["google-vertex/us-east5"]


def test_order_puts_the_named_first_and_keeps_the_rest() -> None:
    endpoints = [endpoint("a"), endpoint("b"), endpoint("c"), endpoint("c/eu", 500)]
    for seed in range(20):
        assert tags(preferring(order=["c", "a"]), *endpoints, seed=seed) == ["c/eu", "c", "a", "b"]


def test_order_without_fallbacks_keeps_only_the_named() -> None:
    endpoints = [endpoint("a"), endpoint("b"), endpoint("c")]
    assert tags(preferring(order=["c", "a"], allow_fallbacks=False), *endpoints) == ["c", "a"]
    assert len(tags(preferring(allow_fallbacks=False), *endpoints)) == 1


def test_a_service_tier_only_for_who_asks_for_it() -> None:
    base, fast = endpoint("acme"), endpoint("acme/priority", 2000, service_tier="priority")
    slow = endpoint("acme/flex", 500, service_tier="flex")
    every = [base, fast, slow]
    assert tags({}, *every) == ["acme"]
    assert tags(preferring(only=["acme"]), *every) == ["acme"]
    assert tags(preferring(only=["acme/priority"]), *every) == ["acme/priority"]
    assert tags(preferring(order=["acme/flex"]), *every) == ["acme/flex", "acme"]
    for tier in ("priority", "fast"):
        assert tags({"service_tier": tier}, *every) == ["acme/priority", "acme"]
    assert tags({"service_tier": "flex"}, *every) == ["acme/flex"]
    assert tags({"service_tier": "flex"}, base) == ["acme"]
    assert tags({"model": "acme/m:floor"}, *every) == ["acme/flex", "acme"]
    quick = {"acme/priority": EndpointView(throughput=figures(200)), "acme": EndpointView(throughput=figures(100))}
    assert tags({"model": "acme/m:nitro"}, *every, seen=quick) == ["acme/priority", "acme"]
    assert tags(preferring(sort="throughput"), *every) == ["acme"]


# Filters


@pytest.mark.parametrize(
    ("preferences", "kept", "excluded_by", "code"),
    [
        ({"only": ["good"]}, {}, "allowed_providers", "constraint_filtered"),
        ({"ignore": ["bad"]}, {}, "allowed_providers", "constraint_filtered"),
        ({"data_collection": "deny"}, {"provider": provider("good", trains_on_data=False)}, "data_policy:training", ""),
        ({"zdr": True}, {"provider": ZDR("good")}, "data_policy:zdr", ""),
        ({"enforce_distillable_text": True}, {"allows_distillation": True}, "distillable", ""),
        ({"quantizations": ["fp8", "bf16"]}, {"quantization": "bf16"}, "quantization", ""),
        ({"max_price": {"prompt": 0.0005}}, {"price": Price(1, 500, 10**6)}, "max_price", ""),
        ({"max_price": {"completion": "0.0005"}}, {"price": Price(1, 10**6, 500)}, "max_price", ""),
    ],
)
def test_each_preference_filters_and_is_named_when_nothing_is_left(
    preferences: dict[str, Any], kept: dict[str, Any], excluded_by: str, code: str
) -> None:
    bad = endpoint("bad", 10**7)
    good = endpoint("good", **kept)
    assert tags(preferring(**preferences), good, bad) == ["good"]
    error = refusal(preferring(**preferences), bad)
    assert (error["status"], error["excluded_by"]) == (404, [excluded_by])
    assert error["code"] == (code or ("privacy_restricted" if "policy" in excluded_by else "constraint_filtered"))
    assert f"provider.{next(iter(preferences))}" in error["message"]
    assert error["constraint"]["field"].startswith(f"provider.{next(iter(preferences))}")


def test_known_retention_is_collection_and_zero_retention_is_known() -> None:
    unknown = endpoint("unknown", provider=provider("unknown", trains_on_data=False))
    keeps = endpoint("keeps", provider=provider("keeps", trains_on_data=False, retention_days=30))
    nothing = endpoint("nothing", provider=ZDR("nothing"))
    trains = endpoint("trains", provider=provider("trains", retention_days=0))
    every = (unknown, keeps, nothing, trains)
    assert sorted(tags(preferring(data_collection="deny"), *every)) == ["nothing", "unknown"]
    assert tags(preferring(zdr=True), *every) == ["nothing"]


def test_a_price_that_is_not_charged_apart_is_within_any_limit() -> None:
    once = endpoint("once", Price(1, 1, 1, request=10**9))
    limit = preferring(max_price={"request": 0.0005, "image": 0})
    assert tags(limit, once, endpoint("never")) == ["never"]


def test_require_parameters_needs_every_parameter_sent() -> None:
    full = endpoint("full", supported_parameters=frozenset({"temperature", "seed", "tools"}))
    less = endpoint("less", supported_parameters=frozenset({"temperature"}))
    body = {"temperature": 1, "seed": 5, "max_tokens": 10, "stop": ["x"], "user": "u"}
    assert sorted(tags(body, full, less)) == ["full", "less"]
    assert tags({**body, **preferring(require_parameters=True)}, full, less) == ["full"]
    error = refusal({**body, "top_k": 1, **preferring(require_parameters=True)}, full, less)
    assert error["excluded_by"] == ["require_parameters"]
    assert "top_k" in error["message"]


def test_null_parameters_are_not_sent_and_not_required() -> None:
    less = endpoint("less", supported_parameters=frozenset({"temperature"}))
    assert tags({"seed": None, **preferring(require_parameters=True)}, less) == ["less"]


def test_tools_and_formats_choose_who_takes_them_and_else_stay() -> None:
    able = endpoint("able", 9000, supported_parameters=frozenset({"tools", "response_format", "structured_outputs"}))
    plain = endpoint("plain", supported_parameters=frozenset({"temperature", "response_format"}))
    tool = {"type": "function", "function": {"name": "f"}}
    assert tags({"tools": [tool]}, able, plain) == ["able"]
    assert tags({"tools": [tool]}, plain) == ["plain"]
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    assert tags({"response_format": schema}, able, plain) == ["able"]
    assert tags({"response_format": {"type": "json_object"}}, plain) == ["plain"]
    assert sorted(tags({"response_format": {"type": "text"}}, able, plain)) == ["able", "plain"]


def test_context_counts_the_prompt_and_the_answer_asked_for() -> None:
    small, large = endpoint("small", 1, context_length=1000), endpoint("large", context_length=100_000)
    long = {"messages": [{"role": "user", "content": "word " * 2000}]}
    assert tags(long, small, large) == ["large"]
    assert tags({"max_tokens": 2000}, small, large) == ["large"]
    assert tags({}, small, large)[0] == "small"
    error = refusal(long, small)
    assert error["excluded_by"] == ["context_length"]
    assert "tokens" in error["message"]


def test_an_answer_longer_than_the_endpoints_limit_goes_elsewhere() -> None:
    short, long = endpoint("short", 1, max_completion_tokens=100), endpoint("long", max_completion_tokens=4000)
    assert tags({"max_tokens": 500}, short, long) == ["long"]
    assert refusal({"max_completion_tokens": 500}, short)["excluded_by"] == ["max_tokens"]


def test_a_prompt_beyond_what_the_price_covers_goes_elsewhere() -> None:
    body = {"messages": [{"role": "user", "content": "word " * 500}]}
    assert tags(body, endpoint("small", 1, max_prompt_tokens=400), endpoint("large")) == ["large"]


@pytest.mark.parametrize(
    ("part", "modality"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio"),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}}, "file"),
        ({"type": "video_url", "video_url": {"url": "https://example.com/v.mp4"}}, "video"),
    ],
)
def test_what_a_message_holds_must_be_taken(part: dict[str, Any], modality: str) -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]}
    able = endpoint("able", context_length=10**6, inputs=frozenset({"text", modality}))
    plain = endpoint("plain", context_length=10**6)
    assert tags(body, able, plain) == ["able"]
    error = refusal(body, plain)
    assert error["excluded_by"] == ["input_modalities"]
    assert modality in error["message"]


def test_base64_does_not_count_as_text() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "A" * 3_000_000, "format": "mp3"}}
    body = {"messages": [{"role": "user", "content": [audio]}]}
    assert 5_000 < size(request(**body)).prompt < 40_000


def test_modalities_ask_for_who_answers_with_them() -> None:
    painter = endpoint("painter", 9000, outputs=frozenset({"text", "image"}))
    assert tags({"modalities": ["text", "image"]}, painter, endpoint("writer")) == ["painter"]
    assert refusal({"modalities": ["image", "text"]}, endpoint("writer"))["excluded_by"] == ["output_modalities"]


def test_filters_that_only_together_leave_nothing_are_all_named() -> None:
    a = endpoint("a", quantization="fp8")
    b = endpoint("b", provider=ZDR("b"), quantization="int4")
    error = refusal(preferring(zdr=True, quantizations=["fp8"]), a, b)
    assert sorted(error["excluded_by"]) == ["data_policy:zdr", "quantization"]
    assert error["affected_providers"] == ["a", "b"]


# Sorting


def test_sorts_put_the_best_first_and_the_unknown_last() -> None:
    endpoints = [endpoint("a", 3000), endpoint("b", 1000), endpoint("c", 2000)]
    seen = {
        "a": EndpointView(latency=figures(100), throughput=figures(50)),
        "c": EndpointView(latency=figures(300), throughput=figures(90)),
    }
    assert tags(preferring(sort="price"), *endpoints, seen=seen) == ["b", "c", "a"]
    assert tags(preferring(sort="latency"), *endpoints, seen=seen) == ["a", "c", "b"]
    assert tags(preferring(sort="throughput"), *endpoints, seen=seen) == ["c", "a", "b"]
    assert tags(preferring(sort={"by": "latency"}), *endpoints, seen=seen) == ["a", "c", "b"]
    assert tags({"model": "acme/m:nitro"}, *endpoints, seen=seen) == ["c", "a", "b"]
    assert tags({"model": "acme/m:floor"}, *endpoints, seen=seen) == ["b", "c", "a"]
    # Of several variants the last that sorts wins; what the request says itself wins over both.
    assert tags({"model": "acme/m:nitro:floor"}, *endpoints, seen=seen) == ["b", "c", "a"]
    assert tags({"model": "acme/m:floor", **preferring(sort="latency")}, *endpoints, seen=seen) == ["a", "c", "b"]


def test_preferred_figures_push_back_and_never_exclude() -> None:
    endpoints = [endpoint("slow", 100), endpoint("unknown", 3000), endpoint("quick", 2000)]
    seen = {
        "slow": EndpointView(latency=figures(3000), throughput=figures(10, p90=4)),
        "quick": EndpointView(latency=figures(200, p99=6000), throughput=figures(80, p90=60)),
    }
    price = {"sort": "price"}
    assert tags(preferring(**price), *endpoints, seen=seen) == ["slow", "quick", "unknown"]
    assert tags(preferring(**price, preferred_max_latency=1), *endpoints, seen=seen)[-1] == "slow"
    assert tags(preferring(**price, preferred_min_throughput=50), *endpoints, seen=seen)[-1] == "slow"
    both = {"preferred_max_latency": {"p50": 4, "p99": 5}}
    assert tags(preferring(**price, **both), *endpoints, seen=seen) == ["slow", "unknown", "quick"]
    assert tags(preferring(**price, preferred_min_throughput={"p90": 5}), *endpoints, seen=seen)[-1] == "slow"


def calling(**valid: float) -> dict[str, EndpointView]:
    return {tag: EndpointView(valid_calls=share) for tag, share in valid.items()}


def test_exacto_puts_who_calls_tools_well_first_and_who_does_not_last() -> None:
    endpoints = [endpoint("bad", 1), endpoint("untold", 1), endpoint("good", 9000), endpoint("fine", 9000)]
    seen = calling(bad=0.5, good=0.99, fine=0.98)
    for body in ({"model": "acme/m:exacto"}, preferring(sort="exacto")):
        for seed in range(20):
            found = tags(body, *endpoints, seen=seen, seed=seed)
            assert (set(found[:2]), found[2:]) == ({"good", "fine"}, ["untold", "bad"])


def test_requests_with_tools_ask_who_calls_them_badly_last() -> None:
    endpoints = [endpoint("bad", 1), *(endpoint(name, 1000) for name in ("a", "b", "c"))]
    seen = calling(bad=0.5, a=0.99, b=0.98)
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    assert {tags(tools, *endpoints, seen=seen, seed=seed)[-1] for seed in range(20)} == {"bad"}
    # Not without tools, not where the price is what counts, and not where there is little to compare with.
    assert {tags({}, *endpoints, seen=seen, seed=seed)[0] for seed in range(20)} == {"bad"}
    assert tags({**tools, **preferring(sort="price")}, *endpoints, seen=seen)[0] == "bad"
    assert {tags(tools, *endpoints[:3], seen=seen, seed=seed)[0] for seed in range(20)} == {"bad"}
    near = calling(bad=0.97, a=0.98, b=0.98, c=0.98)
    assert {tags(tools, *endpoints, seen=near, seed=seed)[0] for seed in range(20)} == {"bad"}


# Several models


def two_models() -> tuple[Endpoint, ...]:
    return (
        endpoint("a", 2000),
        endpoint("b", 4000),
        endpoint("c", 1000, model="acme/other"),
        endpoint("d", 3000, model="acme/other"),
    )


BOTH: dict[str, Any] = {"models": ["acme/other"]}


def test_models_come_one_after_the_other_unless_the_partition_is_none() -> None:
    assert tags({**BOTH, **preferring(sort="price")}, *two_models()) == ["a", "b", "c", "d"]
    by_price = preferring(sort={"by": "price", "partition": "none"})
    assert tags({**BOTH, **by_price}, *two_models()) == ["c", "a", "d", "b"]
    by_model = preferring(sort={"by": "price", "partition": "model"})
    assert tags({**BOTH, **by_model}, *two_models()) == ["a", "b", "c", "d"]


def test_a_preferred_figure_may_bring_a_fallback_model_to_the_front() -> None:
    seen = {tag: EndpointView(latency=figures(5000)) for tag in ("a", "b")}
    body = {**BOTH, **preferring(sort="price", preferred_max_latency=1)}
    assert tags(body, *two_models(), seen=seen) == ["c", "d", "a", "b"]


def test_a_model_whose_endpoints_are_all_filtered_leaves_the_word_to_the_next() -> None:
    assert sorted(tags({**BOTH, **preferring(only=["c", "d"])}, *two_models())) == ["c", "d"]


@pytest.mark.parametrize(
    ("slug", "status", "code"),
    [
        ("acme/nothing", 400, "model_not_found"),
        ("acme/m:free", 404, "free_variant_ended"),
        ("acme/m:thinking", 404, "no_endpoints"),
        ("acme/m:extended", 404, "no_endpoints"),
        ("acme/m:batch:floor", 404, "no_endpoints"),
        ("acme/m:unheard-of", 400, "model_not_found"),
        ("~acme/unheard-of-latest", 400, "model_not_found"),
    ],
)
def test_unknown_models_and_variants_are_told_apart(slug: str, status: int, code: str) -> None:
    error = refusal({"model": slug}, endpoint("a"))
    assert (error["status"], error["code"], error["requested_models"]) == (status, code, [slug])


def test_a_catalogue_variant_is_a_row_of_its_own_and_takes_routing_variants() -> None:
    endpoints = [endpoint("a"), endpoint("free", 0, model="acme/m:free")]
    assert tags({"model": "acme/m:free"}, *endpoints) == ["free"]
    assert tags({"model": "acme/m:floor:free"}, *endpoints) == ["free"]
    for variant in ("thinking", "extended", "batch"):
        row = endpoint(variant, model=f"acme/m:{variant}")
        assert tags({"model": f"acme/m:{variant}"}, *endpoints, row) == [variant]
        assert tags({"model": f"acme/m:exacto:{variant}:nitro"}, *endpoints, row) == [variant]


def test_an_alias_is_the_newest_of_its_family() -> None:
    def named(slug: str, day: int) -> tuple[Endpoint, Any]:
        found = endpoint(slug.split("/")[1], model=slug)
        return found, model(slug, found, released_at=datetime(2026, 1, day, tzinfo=UTC))

    rows = [named("acme/sonnet-4.5", 2), named("acme/sonnet-5", 3), named("acme/4-sonnet", 1), named("acme/big-9", 9)]
    catalogue = Snapshot(providers={}, models={row.slug: row for _, row in rows})
    assert tags({"model": "~acme/sonnet-latest"}, catalogue=catalogue) == ["sonnet-5"]
    assert tags({"model": "~acme/sonnet-latest:nitro"}, catalogue=catalogue) == ["sonnet-5"]


# Policies of organization and key


def test_a_policy_holds_and_a_request_cannot_loosen_it() -> None:
    trains, keeps = endpoint("trains"), endpoint("keeps", provider=provider("keeps", trains_on_data=False))
    nothing = endpoint("nothing", provider=ZDR("nothing"))
    every = (trains, keeps, nothing)
    loose = preferring(data_collection="allow", zdr=False)
    assert sorted(tags(loose, *every, policy=Policy(denies_collection=True))) == ["keeps", "nothing"]
    assert tags(loose, *every, policy=Policy(needs_zdr=True)) == ["nothing"]
    lists = Policy(only=(frozenset({"trains", "keeps"}), frozenset({"keeps", "nothing"})))
    assert tags(loose, *every, policy=lists) == ["keeps"]
    assert tags(preferring(only=["keeps", "trains"]), *every, policy=Policy(only=(frozenset({"keeps"}),))) == ["keeps"]
    union = Policy(ignore=frozenset({"trains"}))
    assert tags(preferring(ignore=["keeps"]), *every, policy=union) == ["nothing"]
    error = refusal(preferring(only=["trains"]), *every, policy=Policy(only=(frozenset({"keeps"}),)))
    assert error["excluded_by"] == ["allowed_providers"]


def test_default_preferences_fill_what_the_request_does_not_say() -> None:
    endpoints = [endpoint("a", 3000), endpoint("b", 1000), endpoint("c", 2000)]
    policy = Policy(defaults=b'{"order": ["a"], "ignore": ["c"]}')
    assert tags({}, *endpoints, policy=policy) == ["a", "b"]
    assert tags(preferring(sort="price"), *endpoints, policy=policy) == ["b", "a"]
    assert tags(preferring(ignore=["b"]), *endpoints, policy=policy) == ["a", "c"]


# What is not built


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "acme/m:online"}, "online"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"tools": [{"type": "openrouter:web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search_preview_2025_03_11"}]}, "tools[0].type"),
        ({"tools": [{"type": "openrouter:experimental__search_models"}]}, "tools[0].type"),
        ({"model": "acme/m:nitro:online"}, "online"),
        ({"models": ["acme/m:online"]}, "online"),
        ({"model": "openrouter/auto:online"}, "online"),
        ({"model": "openrouter/free:online:nitro"}, "online"),
        ({"service_tier": "golden"}, "service_tier"),
    ],
)
def test_what_is_not_built_is_refused(body: dict[str, Any], field: str) -> None:
    error = refusal(body, endpoint("a"))
    assert error["status"] == 400
    assert field in error["message"]


def test_a_plugin_that_is_switched_off_is_no_plugin() -> None:
    assert tags({"plugins": [{"id": "web", "enabled": False}], "route": "fallback"}, endpoint("a")) == ["a"]


# Routers


def fleet() -> Snapshot:
    """Models at 1 to 5, one of them with tools and images, and two that are free."""
    found = [endpoint(f"at-{price}", price * 1000, model=f"acme/at-{price}") for price in range(1, 6)]
    able = endpoint(
        "able",
        2500,
        model="acme/able",
        inputs=frozenset({"text", "image"}),
        supported_parameters=frozenset({"tools"}),
    )
    plain = {"supported_parameters": frozenset({"temperature"})}
    found = [Endpoint(**{name: getattr(one, name) for name in one.__struct_fields__} | plain) for one in found]
    free = [endpoint(f"free-{number}", 0, model=f"acme/free-{number}", **plain) for number in (1, 2)]
    return snapshot(*found, able, *free)


def automatic(**options: Any) -> dict[str, Any]:
    return {"model": "openrouter/auto", "plugins": [{"id": "auto-router", **options}]}


def test_auto_picks_by_the_cost_tier_where_no_rule_names_a_model() -> None:
    firsts = {tier: tags(automatic(cost_tier=tier), catalogue=fleet())[0] for tier in ("low", "medium", "max")}
    assert firsts == {"low": "free-1", "medium": "at-1", "max": "at-5"}
    assert len(tags({"model": "openrouter/auto"}, catalogue=fleet())) == 3


def test_auto_picks_who_can_take_the_request() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert tags({**automatic(cost_tier="max"), "tools": [tool]}, catalogue=fleet()) == ["able"]
    messages = [{"role": "user", "content": [image]}]
    assert tags({**automatic(), "messages": messages, "max_tokens": 10}, catalogue=fleet()) == ["able"]


def test_auto_keeps_to_the_models_that_it_may_pick() -> None:
    allowed = automatic(allowed_models=["acme/at-*"], excluded_models=["acme/at-1", "*-2"], cost_tier="low")
    assert tags(allowed, catalogue=fleet()) == ["at-3", "at-4", "at-5"]
    error = refusal(automatic(allowed_models=["other/*"]), catalogue=fleet())
    assert (error["status"], error["requested_models"]) == (404, ["openrouter/auto"])


def test_auto_follows_the_rules_for_the_task() -> None:
    slugs = ("qwen/qwen3-coder", "meta-llama/llama-3.3-70b-instruct", "anthropic/claude-sonnet-4.5")
    catalogue = snapshot(*(endpoint(slug.split("/")[1], 1000, model=slug) for slug in slugs))
    code = [{"role": "user", "content": "Why does this Python function raise an exception?"}]
    assert tags({"model": "openrouter/auto", "messages": code}, catalogue=catalogue)[0] == "qwen3-coder"
    chat = [{"role": "user", "content": "What is a turnpike?"}]
    first = tags({"model": "openrouter/auto", "messages": chat}, catalogue=catalogue)[0]
    assert first == "llama-3.3-70b-instruct"
    assert tags({**automatic(cost_tier="high"), "messages": code}, catalogue=catalogue)[0] == "claude-sonnet-4.5"


def test_free_picks_any_free_model_and_no_other() -> None:
    found = {tuple(tags({"model": "openrouter/free"}, seed=seed, catalogue=fleet())) for seed in range(20)}
    assert found == {("free-1", "free-2"), ("free-2", "free-1")}
    assert refusal({"model": "openrouter/free"}, endpoint("paid"))["status"] == 404


def test_a_conversation_stays_with_its_endpoint_and_under_auto_with_its_model() -> None:
    near, far = endpoint("near", 10), endpoint("far", 5000)
    stuck = Place(far.id, "acme/m")
    assert all(tags({}, near, far, stuck=stuck, seed=seed) == ["far", "near"] for seed in range(20))
    assert tags(preferring(order=["near"]), near, far, stuck=stuck) == ["near", "far"]
    assert tags({}, near, far, stuck=stuck, seen={"far": EndpointView(had_outage=True)}) == ["near", "far"]
    assert tags({}, near, far, stuck=stuck, seen={"far": EndpointView(is_open=True)}) == ["near", "far"]
    assert tags(preferring(ignore=["far"]), near, far, stuck=stuck) == ["near"]
    catalogue = fleet()
    dear = catalogue.models["acme/at-5"].endpoints[0]
    assert tags(automatic(cost_tier="low"), catalogue=catalogue, stuck=Place(dear.id, dear.model))[0] == "at-5"
