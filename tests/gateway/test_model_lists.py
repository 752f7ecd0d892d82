"""The filters, sorts and other lists of the models API (/models, /models/count, /models/user, /model, zdr, RSS)."""

from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import httpx
import pytest

from tests.services import Product, Servers, running

pytestmark = pytest.mark.thorough

CATALOGUE = """
providers:
  - {slug: alp, name: Alp, wire: openai, base_url: "http://127.0.0.1:9/v1", datacenters: [DE, FR],
     trains_on_data: false, retention_days: 0}
  - {slug: bay, name: Bay Cloud, wire: openai, base_url: "http://127.0.0.1:9/v1", datacenters: [US],
     trains_on_data: true}
models:
  - slug: alp/new
    name: "Alp: New"
    description: Speaks with mountains.
    context_length: 1000
    input_modalities: [text, image]
    output_modalities: [text]
    tokenizer: Llama3
    released_at: 2026-03-01
    endpoints:
      - {provider: alp, upstream_model: new, supported_parameters: [tools, seed],
         prices: {prompt: "0.000002", completion: "0.000008"}}
      - {provider: bay, upstream_model: new, supported_parameters: [response_format],
         prices: {prompt: "0.000001", completion: "0.000004"}}
  - slug: bay/old
    name: "Bay: Old"
    context_length: 200000
    input_modalities: [text]
    output_modalities: [text]
    released_at: 2025-01-01
    endpoints:
      - {provider: bay, upstream_model: old, supported_parameters: [tools],
         prices: {prompt: "0.0000005", completion: "0.00002"}}
  - slug: bay/free:free
    name: "Bay: Free"
    context_length: 5000
    input_modalities: [text]
    output_modalities: [text]
    released_at: 2025-06-01
    endpoints: [{provider: bay, upstream_model: free, prices: {prompt: "0", completion: "0"}}]
  - slug: alp/vector
    name: "Alp: Vector"
    context_length: 8000
    input_modalities: [text]
    output_modalities: [embeddings]
    released_at: 2025-02-01
    endpoints: [{provider: alp, upstream_model: vector, prices: {prompt: "0.0000001", completion: "0"}}]
"""

FAMILY = """
providers: [{slug: alp, name: Alp, wire: openai, base_url: "http://127.0.0.1:9/v1"}]
models:
  - {slug: alp/peak-1.5, name: "Alp: Peak 1.5", context_length: 1000, input_modalities: [text],
     output_modalities: [text], released_at: 2025-01-01,
     endpoints: [{provider: alp, upstream_model: peak, prices: {prompt: "0.000001", completion: "0.000002"}}]}
  - {slug: alp/peak-2, name: "Alp: Peak 2", context_length: 1000, input_modalities: [text],
     output_modalities: [text], released_at: 2026-01-01,
     endpoints: [{provider: alp, upstream_model: peak, prices: {prompt: "0.000002", completion: "0.000003"}}]}
"""


@pytest.fixture(scope="module")
def lists(servers: Servers) -> Iterator[Product]:
    with running(servers, catalogue=CATALOGUE) as product:
        yield product


@pytest.fixture
def api(lists: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{lists.url}/api/v1") as client:
        yield client


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


NEW, OLD, FREE, VECTOR = "alp/new", "bay/old", "bay/free:free", "alp/vector"
ROUTERS = ["openrouter/auto", "openrouter/free"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [NEW, FREE, OLD, *ROUTERS]),
        ("output_modalities=all", [NEW, FREE, VECTOR, OLD, *ROUTERS]),
        ("output_modalities=embeddings", [VECTOR]),
        ("supported_parameters=tools", [NEW, OLD]),
        ("supported_parameters=tools,seed", [NEW]),
        # Each is at one of its endpoints, but no endpoint has both.
        ("supported_parameters=seed,response_format", []),
        ("input_modalities=image", [NEW]),
        ("q=mountain", [NEW]),
        ("q=BAY+old", [OLD]),
        ("context=5000", [FREE, OLD]),
        ("min_price=0.6", [NEW]),
        ("max_price=0.5", [FREE, OLD]),
        ("min_output_price=5", [OLD]),
        ("max_output_price=4", [NEW, FREE]),
        ("arch=llama3", [NEW]),
        ("arch=router", ROUTERS),
        ("q=router", ROUTERS),
        ("model_authors=bay", [FREE, OLD]),
        ("providers=alp", [NEW]),
        ("providers=Bay%20Cloud", [NEW, FREE, OLD]),
        ("zdr=true", [NEW]),
        ("zdr=false", [NEW, FREE, OLD]),
        ("region=eu", [NEW]),
        ("region=us", [NEW, FREE, OLD]),
        ("min_age_days=1&max_age_days=100000", [NEW, FREE, OLD]),
        ("max_age_days=0", []),
        ("min_intelligence_index=10", []),
        ("max_coding_index=10", [NEW, FREE, OLD]),
        ("category=finance", [NEW, FREE, OLD, *ROUTERS]),
        ("sort=newest", [NEW, FREE, OLD, *ROUTERS]),
        ("sort=pricing-low-to-high", [FREE, NEW, OLD, *ROUTERS]),
        ("sort=pricing-high-to-low", [OLD, NEW, FREE, *ROUTERS]),
        ("sort=context-high-to-low", [OLD, FREE, NEW, *ROUTERS]),
        ("sort=throughput-high-to-low", [NEW, FREE, OLD, *ROUTERS]),
        ("something=else", [NEW, FREE, OLD, *ROUTERS]),
    ],
)
def test_filter(api: httpx.Client, query: str, expected: list[str]) -> None:
    assert ids(api.get(f"/models?{query}")) == expected


@pytest.mark.parametrize(
    "query",
    [
        "sort=nicest",
        "category=cooking",
        "input_modalities=smell",
        "output_modalities=text,smell",
        "context=many",
        "min_price=-1",
        "max_output_price=1e3",
        "region=moon",
        "zdr=perhaps",
        "use_rss=perhaps",
        "max_age_days=nan",
    ],
)
def test_a_wrong_value_is_named(api: httpx.Client, query: str) -> None:
    answer = api.get(f"/models?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(query.partition("=")[0] + ":")


def test_the_next_page_keeps_the_filters(api: httpx.Client) -> None:
    first = api.get("/models?supported_parameters=tools&sort=context-high-to-low&limit=1").json()
    assert [row["id"] for row in first["data"]] == [OLD]
    assert first["total_count"] == 2
    following = api.get(first["links"]["next"].removeprefix("/api/v1"))
    assert ids(following) == [NEW]
    assert following.json()["links"]["next"] is None


def test_count(api: httpx.Client) -> None:
    assert api.get("/models/count").json() == {"data": {"count": 5}}
    assert api.get("/models/count?output_modalities=all").json() == {"data": {"count": 6}}


def test_models_of_a_key_want_the_key(lists: Product, api: httpx.Client) -> None:
    assert api.get("/models/user").status_code == 401
    key = lists.issue_key()
    assert ids(api.get("/models/user", headers={"Authorization": f"Bearer {key}"})) == [NEW, FREE, OLD, *ROUTERS]


def test_one_model(api: httpx.Client) -> None:
    assert api.get(f"/model/{NEW}").json()["data"] == api.get("/models").json()["data"][0]
    assert api.get(f"/model/{NEW}:nitro").json()["data"]["id"] == NEW
    assert api.get("/model/bay/free:free").json()["data"]["id"] == FREE
    for missing in ("alp/none", "alp/new:free"):
        assert api.get(f"/model/{missing}").status_code == 404


def test_a_router_is_a_row_without_endpoints_of_its_own(api: httpx.Client) -> None:
    row = api.get("/model/openrouter/auto").json()["data"]
    assert row["architecture"]["tokenizer"] == "Router"
    assert row["architecture"]["modality"] == "text+image->text"
    assert row["context_length"] == 200000
    assert row["supported_parameters"] == ["response_format", "seed", "tools"]
    assert row["top_provider"]["context_length"] is None
    found = api.get("/models/openrouter/auto/endpoints").json()["data"]
    assert (found["id"], found["endpoints"]) == ("openrouter/auto", [])
    free = api.get("/model/openrouter/free").json()["data"]
    assert (free["architecture"]["modality"], free["supported_parameters"]) == ("text->text", [])


def test_an_alias_is_a_row_that_names_its_target(product: Callable[..., Product]) -> None:
    url = product(catalogue=FAMILY).url + "/api/v1"
    rows = {row["id"]: row for row in httpx.get(f"{url}/models").json()["data"]}
    alias, target = rows["~alp/peak-latest"], rows["alp/peak-2"]
    assert alias["alias_target"] == {"name": "Alp: Peak 2", "slug": "alp/peak-2"}
    assert (alias["name"], alias["canonical_slug"]) == ("Alp: Peak Latest", "~alp/peak-latest")
    assert alias["pricing"] == target["pricing"]
    assert "alias_target" not in target
    assert list(rows) == ["alp/peak-2", "~alp/peak-latest", "alp/peak-1.5", "openrouter/auto"]
    endpoints = httpx.get(f"{url.removesuffix('/api/v1')}{alias['links']['details']}").json()["data"]
    assert (endpoints["id"], [row["tag"] for row in endpoints["endpoints"]]) == ("~alp/peak-latest", ["alp"])
    assert [row["id"] for row in httpx.get(f"{url}/models?max_price=1.5").json()["data"]] == ["alp/peak-1.5"]
    feed = ElementTree.fromstring(httpx.get(f"{url}/models?use_rss=true").content)
    assert [item.findtext("guid") for item in feed.findall("./channel/item")] == ["alp/peak-2", "alp/peak-1.5"]


def test_embedding_models(api: httpx.Client) -> None:
    assert ids(api.get("/embeddings/models")) == [VECTOR]


def test_endpoints_that_keep_nothing(api: httpx.Client) -> None:
    rows = api.get("/endpoints/zdr").json()["data"]
    assert [(row["model_id"], row["tag"]) for row in rows] == [(NEW, "alp"), (VECTOR, "alp")]


def test_rss(api: httpx.Client) -> None:
    answer = api.get("/models?use_rss=true&q=bay")
    assert answer.headers["content-type"].startswith("application/rss+xml")
    items = ElementTree.fromstring(answer.content).findall("./channel/item")
    assert [item.findtext("guid") for item in items] == [FREE, OLD]
    assert [
        item.findtext("link", "").endswith(f"/models/{slug}") for item, slug in zip(items, [FREE, OLD], strict=True)
    ]


def test_the_most_used_come_first(lists: Product, api: httpx.Client) -> None:
    """By the roll-ups of the last week."""
    lists.sql(
        "INSERT INTO billing_usageday (day, organization_id, model, provider, provider_name, requests, errors,"
        " prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, charge, list_charge, cost)"
        " VALUES (current_date - 1, gen_random_uuid(), 'bay/old', 'bay', 'Bay', 1, 0, 10, 5, 0, 0, 0, 0, 0)"
    )
    # No other test sorts so, so no minute's answer is kept.
    assert ids(api.get("/models?sort=top-weekly")) == [OLD, NEW, FREE, *ROUTERS]
