"""GET /activity: sums by day, model and endpoint of the caller's organization, from the roll-ups."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from openrouter import OpenRouter, errors

from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

MEMBERS = {
    *("date", "model", "model_permaslug", "endpoint_id", "provider_name", "usage", "byok_usage_inference"),
    *("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"),
}
ROLL_UP = "from billing.tasks import usage; usage()"
TODAY = datetime.now(UTC).date()


def day(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


@pytest.fixture(scope="module")
def product(servers: Servers, provider: Upstream) -> Iterator[Product]:
    """Alice asked yesterday for two models with two keys, 10 and 40 days ago, and today; Charlie yesterday."""
    with running(servers, catalogue=catalogue(provider.url)) as product:
        first, second = (product.issue_key("alice@example.com", "10") for _ in range(2))
        other = product.issue_key("charlie@example.com", "10")
        for ago, key, model in (
            (10, first, "acme/one"),
            (40, first, "acme/one"),
            (1, first, "acme/one"),
            (1, first, "acme/one"),
            (1, second, "acme/one"),
            (1, second, "acme/other"),
            (1, other, "acme/one"),
            (0, first, "acme/one"),
        ):
            ask(product, key, model)
            product.sql(
                "UPDATE billing_generation SET closed_at = now() - %s * interval '1 day'"
                " WHERE id = (SELECT max(id::text)::uuid FROM billing_generation)",
                [ago],
            )
        product.manage("shell", "-c", ROLL_UP)
        yield product


def ask(product: Product, key: str, model: str) -> None:
    assert product.ask(key, model).status_code == 200


@pytest.fixture(scope="module")
def manager(product: Product) -> str:
    return product.issue_key("alice@example.com", None, management=True)


@pytest.fixture
def api(product: Product, manager: str) -> Iterator[httpx.Client]:
    with product.api(manager) as api:
        yield api


@pytest.fixture
def items(api: httpx.Client) -> Callable[..., list[dict[str, Any]]]:
    def get(**params: str) -> list[dict[str, Any]]:
        response = api.get("/activity", params=params)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["data"]
        return found

    return get


Items = Callable[..., list[dict[str, Any]]]


def test_sums_by_day_model_and_endpoint(items: Items) -> None:
    found = items()
    assert all(row.keys() == MEMBERS for row in found)
    assert [(row["date"], row["model"], row["requests"]) for row in found] == [
        (day(1), "acme/one", 3),
        (day(1), "acme/other", 1),
        (day(10), "acme/one", 1),
    ]
    first = found[0]
    assert first["usage"] == pytest.approx(3 * 0.000018, abs=1e-12)
    assert (first["prompt_tokens"], first["completion_tokens"]) == (30, 12)
    assert (first["reasoning_tokens"], first["cached_tokens"], first["byok_usage_inference"]) == (0, 0, 0)
    assert (first["provider_name"], first["model_permaslug"]) == ("Primary", "acme/one")


def test_one_day(items: Items) -> None:
    assert [row["date"] for row in items(date=day(10))] == [day(10)]
    assert items(date=day(2)) == []
    assert items(date=day(30)) == []


def test_one_key_deleted_or_not(product: Product, items: Items) -> None:
    hashes = product.sql("SELECT hash FROM accounts_apikey WHERE NOT is_management ORDER BY id LIMIT 3")
    first, second, charlies = (row[0] for row in hashes)
    assert [row["requests"] for row in items(api_key_hash=first)] == [2, 1]
    product.sql("UPDATE accounts_apikey SET deleted_at = now() WHERE hash = %s", [second])
    assert [row["requests"] for row in items(api_key_hash=second)] == [1, 1]
    assert items(api_key_hash=charlies) == items(api_key_hash="0" * 64) == []


def test_one_user(product: Product, items: Items) -> None:
    users = dict(product.sql("SELECT email, id::text FROM accounts_user"))
    assert items(user_id=users["alice@example.com"]) == items()
    assert items(user_id=users["charlie@example.com"]) == []


def test_by_workspace(product: Product, items: Items) -> None:
    [(organization,)] = product.sql(
        "SELECT m.organization_id::text FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id"
        " WHERE u.email = 'alice@example.com'"
    )
    found = items(group_by="workspace", workspace_id=organization)
    assert found == [row | {"workspace_id": organization} for row in items()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", "x"),
        ("date", day(0)),
        ("date", day(31)),
        ("date", day(1).replace("-", "")),
        ("date", ""),
        ("api_key_hash", "x"),
        ("api_key_hash", "\0"),
        ("user_id", "x"),
        ("group_by", "model"),
        ("workspace_id", "x"),
    ],
)
def test_a_bad_parameter_is_named(api: httpx.Client, name: str, value: str) -> None:
    response = api.get("/activity", params={name: value})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(f"{name}: ")


def test_who_may(product: Product) -> None:
    key = product.issue_key("alice@example.com", None)
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {key}"}, 403)):
        assert httpx.get(f"{product.url}/api/v1/activity", headers=headers).status_code == status


def test_another_method_is_405(api: httpx.Client) -> None:
    assert api.post("/activity").status_code == 405


async def test_the_sdk_reads_it(product: Product, manager: str) -> None:
    async with OpenRouter(api_key=manager, server_url=f"{product.url}/api/v1", retry_config=None) as sdk:
        assert [row.requests for row in sdk.analytics.get_user_activity().data] == [3, 1, 1]
        found = (await sdk.analytics.get_user_activity_async(request={"date_": day(1), "group_by": "workspace"})).data
        assert [row.date_ for row in found] == [day(1)] * 2
        assert found[0].workspace_id is not None
        with pytest.raises(errors.BadRequestResponseError, match="date: "):
            sdk.analytics.get_user_activity(request={"date_": "2001-01-01"})
