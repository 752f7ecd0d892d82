"""GET /key, /credits, /generation: what a key may see, and what it may not."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from accounts.ids import uuid7
from billing.generations import public_id
from tests.services import Product
from tests.upstream import Upstream, text_stream
from tests.waiting import until

Ask = Callable[..., httpx.Response]
# What the published clients require of /key.
KEY = {
    "label",
    "limit",
    "limit_reset",
    "limit_remaining",
    "include_byok_in_limit",
    "usage",
    "usage_daily",
    "usage_weekly",
    "usage_monthly",
    "byok_usage",
    "byok_usage_daily",
    "byok_usage_weekly",
    "byok_usage_monthly",
    "is_free_tier",
    "is_management_key",
    "is_provisioning_key",
    "creator_user_id",
    "rate_limit",
    "allowed_data_regions",
    "budgets",
    "effective_budget",
    "free_model_daily_requests",
    "organization_id",
    "workspace_id",
}
PATHS = ["/key", "/auth/key", "/credits", "/generation?id=gen-1-x"]


@pytest.fixture
def outsider(shared: Product, charlie: str) -> Iterator[httpx.Client]:
    with shared.api(charlie) as client:
        yield client


def data(client: httpx.Client, path: str, **params: str) -> dict[str, Any]:
    response = client.get(path, params=params)
    assert response.status_code == 200
    found: dict[str, Any] = response.json()["data"]
    return found


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_it_is_401(shared: Product, path: str) -> None:
    response = httpx.get(f"{shared.url}/api/v1{path}")
    assert response.status_code == 401
    assert response.json()["error"]["code"] == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_method_is_405_in_the_envelope(api: httpx.Client, method: str, path: str) -> None:
    response = api.request(method, path)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == 405
    assert "GET" in response.headers["Allow"]


# The key


@pytest.mark.parametrize("path", ["/key", "/auth/key"])
def test_a_key_sees_itself(api: httpx.Client, alice: str, path: str) -> None:
    found = data(api, path)
    assert found.keys() >= KEY
    assert found["label"] == f"{alice[:12]}...{alice[-3:]}"
    assert (found["limit"], found["limit_remaining"], found["limit_reset"]) == (None, None, None)
    assert found["is_free_tier"] is False
    assert alice not in str(found)


def test_usage_is_this_keys_and_counts_in_every_window(
    api: httpx.Client, outsider: httpx.Client, ask: Ask, script: Upstream
) -> None:
    windows = ("usage", "usage_daily", "usage_weekly", "usage_monthly")
    before, others = data(api, "/key"), data(outsider, "/key")
    cost = ask().json()["usage"]["cost"]
    after = data(api, "/key")
    for window in windows:
        assert after[window] - before[window] == pytest.approx(cost, abs=1e-12)
    assert data(outsider, "/key") == others


def test_credits_are_the_organizations(api: httpx.Client, outsider: httpx.Client, ask: Ask, script: Upstream) -> None:
    before = data(outsider, "/credits")
    ask()
    assert data(outsider, "/credits") == before == {"total_credits": 1.0, "total_usage": 0.0}


def test_a_new_key_of_a_new_organization_has_nothing(shared: Product) -> None:
    key = shared.issue_key("judy@example.com", None)
    with shared.api(key) as client:
        assert data(client, "/credits") == {"total_credits": 0.0, "total_usage": 0.0}
        found = data(client, "/key")
    assert (found["usage"], found["usage_monthly"], found["is_free_tier"]) == (0.0, 0.0, True)


# Generations


def test_a_generation_tells_what_was_asked_answered_and_paid(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    response = api.post(
        "/chat/completions",
        json={"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]},
        headers={"HTTP-Referer": "https://app.example", "X-Title": "App", "x-session-id": "s-9"},
    )
    found = data(api, "/generation", id=response.json()["id"])
    assert found["finish_reason"] == found["native_finish_reason"] == "stop"
    assert found["usage"] == found["total_cost"] == response.json()["usage"]["cost"]
    assert (found["tokens_prompt"], found["tokens_completion"]) == (10, 4)
    assert found["http_referer"] == found["origin"] == "https://app.example"
    assert (found["upstream_id"], found["cancelled"], found["session_id"]) == ("up-1", False, "s-9")
    assert 0 <= found["latency"] <= found["generation_time"] < 10_000
    assert found["created_at"].startswith("20")


def test_a_cancelled_generation_says_so(api: httpx.Client, shared: Product, script: Upstream) -> None:
    script.script("one-primary", [*text_stream()[:3], {"stall": True}])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with api.stream("POST", "/chat/completions", json=body) as stream:
        next(stream.iter_lines())
        generation = stream.headers["X-Generation-Id"]
    until(lambda: api.get("/generation", params={"id": generation}).status_code == 200, 2)
    found = data(api, "/generation", id=generation)
    assert (found["cancelled"], found["streamed"], found["finish_reason"]) == (True, True, None)
    assert found["total_cost"] > 0


def test_another_tenants_generation_does_not_exist(
    api: httpx.Client, outsider: httpx.Client, ask: Ask, script: Upstream
) -> None:
    generation = ask().json()["id"]
    theirs = outsider.get("/generation", params={"id": generation})
    unknown = outsider.get("/generation", params={"id": public_id(uuid7())})
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.json()["error"].keys() == unknown.json()["error"].keys()
    assert theirs.json()["error"]["message"] == f"Generation {generation} not found."


@pytest.mark.parametrize(
    "generation",
    [
        "x",
        "gen-",
        "gen-1-x",
        "gen-1-" + "0" * 15,
        "gen-99999999999999999999-" + "z" * 15,
        "gen-1790000000-" + "Ω" * 15,
        "\0",
        "x" * 5000,
        "62e9e7a6-399e-4f80-bff9-841c8c630c7a",
        "1 OR 1=1",
    ],
)
def test_what_is_no_id_is_404(api: httpx.Client, generation: str) -> None:
    response = api.get("/generation", params={"id": generation})
    assert response.status_code == 404
    assert len(response.text) < 1000


def test_parameters_without_number_are_400(api: httpx.Client) -> None:
    response = api.get("/generation?" + "a=1&" * 2000)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == 400


@pytest.mark.parametrize("query", ["", "?id=", "?ID=gen-1-x"])
def test_a_missing_id_is_400(api: httpx.Client, query: str) -> None:
    response = api.get(f"/generation{query}")
    assert response.status_code == 400
    assert "id" in response.json()["error"]["message"]
