"""GET /models, /models/{author}/{slug}/endpoints, /providers: open to everybody, with or without a key."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services import Product, Servers, running

CATALOGUE = """
providers:
  - {slug: zoo, name: Zoo, wire: openai, base_url: "http://127.0.0.1:9/v1", api_key: sk-zoo-secret-key,
     headquarters: CH, datacenters: [CH, DE], privacy_policy_url: "https://zoo.example/privacy"}
  - {slug: ark, name: Ark, wire: openai, base_url: "http://127.0.0.1:9/v1"}
  - {slug: dark, name: Dark, wire: openai, base_url: "http://127.0.0.1:9/${NOT_SET}/v1"}
models:
  - slug: zoo/big
    name: "Zoo: Big"
    description: It is big.
    context_length: 65536
    input_modalities: [text, image]
    output_modalities: [text]
    released_at: 2026-01-03
    endpoints:
      - {provider: zoo, upstream_model: big, quantization: fp8, supported_parameters: [tools, tool_choice, seed],
         prices: {prompt: "0.00000000025", completion: "0.000002", input_cache_read: "0.000000000001"}}
      - {provider: ark, tag: ark/turbo, upstream_model: big, context_length: 32768, max_completion_tokens: 4096,
         supported_parameters: [temperature], prices: {prompt: "1", completion: "12.5", request: "0.010"}}
      - {provider: zoo, tag: zoo/unpriced, upstream_model: big}
      - {provider: ark, tag: ark/gone, upstream_model: big, enabled: false, prices: {prompt: "0", completion: "0"}}
      - {provider: dark, upstream_model: big, prices: {prompt: "0", completion: "0"}}
  - slug: zoo/big:free
    name: "Zoo: Big (free)"
    context_length: 65536
    input_modalities: [text]
    output_modalities: [text]
    released_at: 2026-01-02
    endpoints: [{provider: zoo, upstream_model: big, prices: {prompt: "0", completion: "0"}}]
  - slug: ark/small
    name: "Ark: Small"
    context_length: 1024
    input_modalities: [text]
    output_modalities: [text]
    released_at: 2026-01-01
    endpoints: [{provider: ark, upstream_model: small, prices: {prompt: "0.000001", completion: "0.000002"}}]
  - {slug: zoo/unpriced, name: U, context_length: 1, input_modalities: [text], output_modalities: [text],
     endpoints: [{provider: zoo, upstream_model: u}]}
  - {slug: zoo/hidden, name: H, context_length: 1, input_modalities: [text], output_modalities: [text], enabled: false,
     endpoints: [{provider: zoo, upstream_model: h, prices: {prompt: "0", completion: "0"}}]}
"""
LISTED = ["zoo/big", "zoo/big:free", "ark/small", "openrouter/auto", "openrouter/free"]
REQUIRED = {
    "id",
    "canonical_slug",
    "name",
    "created",
    "pricing",
    "context_length",
    "architecture",
    "top_provider",
    "per_request_limits",
    "supported_parameters",
    "default_parameters",
    "supported_voices",
    "links",
}


@pytest.fixture(scope="module")
def zoo(servers: Servers) -> Iterator[Product]:
    with running(servers, catalogue=CATALOGUE) as product:
        yield product


@pytest.fixture
def api(zoo: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{zoo.url}/api/v1") as client:
        yield client


def models(api: httpx.Client) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in api.get("/models").json()["data"]}


def test_lists_all_that_can_be_called_newest_first(api: httpx.Client) -> None:
    body = api.get("/models").json()
    assert [row["id"] for row in body["data"]] == LISTED
    assert (body["total_count"], body["links"]) == (5, {"next": None})


def test_a_row_has_all_that_strict_clients_require(api: httpx.Client) -> None:
    for row in models(api).values():
        assert row.keys() >= REQUIRED
    row = models(api)["zoo/big"]
    assert row["created"] == 1767398400
    assert row["description"] == "It is big."
    assert row["architecture"]["modality"] == "text+image->text"
    assert row["supported_parameters"] == ["seed", "temperature", "tool_choice", "tools"]
    assert row["links"] == {"details": "/api/v1/models/zoo/big/endpoints"}
    assert row["top_provider"] == {"is_moderated": False, "context_length": 65536, "max_completion_tokens": None}


def test_prices_are_the_cheapest_endpoints_as_plain_decimals(api: httpx.Client) -> None:
    found = {slug: row["pricing"] for slug, row in models(api).items()}
    assert found["zoo/big"] == {
        "prompt": "0.00000000025",
        "completion": "0.000002",
        "input_cache_read": "0.000000000001",
    }
    assert found["zoo/big:free"] == {"prompt": "0", "completion": "0"}
    # It depends on the model that is picked.
    assert found.pop("openrouter/auto") == {"prompt": "-1", "completion": "-1"}
    assert found["openrouter/free"] == {"prompt": "0", "completion": "0"}
    for pricing in found.values():
        assert all(re.fullmatch(r"\d+(\.\d*[1-9])?", price) for price in pricing.values())


@pytest.mark.parametrize("limit", [1, 2, 3, 1000, 999999999])
def test_pages_lead_to_each_other(api: httpx.Client, limit: int) -> None:
    url: str | None = f"/api/v1/models?limit={limit}"
    found = []
    while url:
        body = api.get(url.removeprefix("/api/v1")).json()
        assert body["total_count"] == 5
        assert len(body["data"]) <= limit
        found += [row["id"] for row in body["data"]]
        url = body["links"]["next"]
    assert found == LISTED


def test_a_page_beyond_the_end_is_empty(api: httpx.Client) -> None:
    body = api.get("/models", params={"offset": 5}).json()
    assert (body["data"], body["links"]["next"], body["total_count"]) == ([], None, 5)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=many", "limit=", "offset=-1", "offset=1.5", "limit=٣٣٣x"]
)
def test_a_bad_page_is_named(api: httpx.Client, query: str) -> None:
    response = api.get(f"/models?{query}")
    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["error"]["message"]


# Endpoints


def tags(api: httpx.Client, slug: str) -> list[str]:
    return [row["tag"] for row in api.get(f"/models/{slug}/endpoints").json()["data"]["endpoints"]]


def test_endpoints_are_those_that_can_be_called(api: httpx.Client) -> None:
    found = api.get("/models/zoo/big/endpoints").json()["data"]
    assert (found["id"], found["name"], found["created"]) == ("zoo/big", "Zoo: Big", 1767398400)
    turbo, plain = found["endpoints"]
    assert (turbo["tag"], turbo["provider_name"], turbo["name"]) == ("ark/turbo", "Ark", "Ark | zoo/big")
    assert turbo["pricing"] == {"prompt": "1", "completion": "12.5", "request": "0.01"}
    assert (turbo["context_length"], turbo["max_completion_tokens"], turbo["quantization"]) == (32768, 4096, "unknown")
    assert (plain["context_length"], plain["max_completion_tokens"], plain["quantization"]) == (65536, None, "fp8")
    assert (plain["supports_implicit_caching"], turbo["supports_implicit_caching"]) == (True, False)
    assert set(plain["supports_tool_choice"].values()) == {True}
    assert set(turbo["supports_tool_choice"].values()) == {False}


@pytest.mark.parametrize("suffix", [":nitro", ":floor", ":exacto", ":online", ":nitro:online"])
def test_a_routing_suffix_is_dropped(api: httpx.Client, suffix: str) -> None:
    assert tags(api, f"zoo/big{suffix}") == ["ark/turbo", "zoo"]
    assert tags(api, f"zoo/big:free{suffix}") == ["zoo"]


@pytest.mark.parametrize("slug", ["zoo/big:beta", "ark/small:free", "ark/small:free:nitro"])
def test_an_unknown_catalogue_suffix_is_an_empty_list(api: httpx.Client, slug: str) -> None:
    assert tags(api, slug) == []


@pytest.mark.parametrize(
    "slug", ["zoo/none", "none/big", "zoo/none:free", "zoo/hidden", "zoo/%00", "zoo/" + "x" * 3000]
)
def test_an_unknown_model_is_404(api: httpx.Client, slug: str) -> None:
    response = api.get(f"/models/{slug}/endpoints")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == 404


# Providers


def test_providers_publish_their_policies_and_no_secrets(api: httpx.Client) -> None:
    response = api.get("/providers")
    rows = {row["slug"]: row for row in response.json()["data"]}
    assert rows["zoo"] == {
        "name": "Zoo",
        "slug": "zoo",
        "privacy_policy_url": "https://zoo.example/privacy",
        "terms_of_service_url": None,
        "status_page_url": None,
        "headquarters": "CH",
        "datacenters": ["CH", "DE"],
    }
    assert rows["ark"]["privacy_policy_url"] is None
    assert "secret" not in response.text
    assert "127.0.0.1" not in response.text


# All of them


@pytest.mark.parametrize("path", ["/models", "/models/zoo/big/endpoints", "/providers"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_method_is_405_in_the_envelope(api: httpx.Client, method: str, path: str) -> None:
    response = api.request(method, path)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == 405
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8"])
def test_the_answer_is_json(api: httpx.Client, accept: str) -> None:
    response = api.get("/models", headers={"Accept": accept})
    assert response.headers["Content-Type"] == "application/json"


def test_a_change_is_served_within_a_second(zoo: Product, api: httpx.Client) -> None:
    assert "ark/small" in models(api)
    hidden = CATALOGUE.replace('name: "Ark: Small"', 'name: "Ark: Small"\n    enabled: false')
    for text, is_listed in ((hidden, False), (CATALOGUE, True)):
        zoo.import_catalogue(text)
        done = time.monotonic()
        while ("ark/small" in models(api)) != is_listed:
            assert time.monotonic() - done < 1
