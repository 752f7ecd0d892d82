"""/keys: what a management key may do with its organization's keys, and what nobody else may."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openrouter import OpenRouter, errors

from accounts import keys
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

MEMBERS = {
    *("hash", "label", "name", "disabled", "limit", "limit_remaining", "limit_reset", "include_byok_in_limit"),
    *("usage", "usage_daily", "usage_weekly", "usage_monthly", "byok_usage", "byok_usage_daily"),
    *("byok_usage_weekly", "byok_usage_monthly", "created_at", "updated_at", "expires_at", "creator_user_id"),
    *("external_user", "last_used_at", "workspace_id"),
}


@pytest.fixture(scope="module")
def product(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url), web=2) as product:
        product.issue_key("alice@example.com", "10")
        yield product


def client(product: Product, key: str | None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=f"{product.url}/api/v1", headers=headers)


@pytest.fixture(scope="module")
def manager(product: Product) -> str:
    return product.issue_key("alice@example.com", None, management=True)


@pytest.fixture
def api(product: Product, manager: str) -> Iterator[httpx.Client]:
    with client(product, manager) as api:
        yield api


@pytest.fixture
def outsider(product: Product) -> Iterator[httpx.Client]:
    with client(product, product.issue_key("charlie@example.com", None, management=True)) as api:
        yield api


@pytest.fixture
def made(api: httpx.Client) -> Callable[..., tuple[dict[str, Any], str]]:
    def make(**fields: Any) -> tuple[dict[str, Any], str]:
        response = api.post("/keys", json={"name": "Test", **fields})
        assert response.status_code == 201, response.text
        return response.json()["data"], response.json()["key"]

    return make


Made = Callable[..., tuple[dict[str, Any], str]]


def statuses(product: Product, key: str) -> set[int]:
    """What inference says to the key, asked so often that both processes have been asked."""
    found = set()
    for _ in range(12):
        found.add(product.ask(key).status_code)
    return found


def test_a_new_key_works_and_is_shown_once(product: Product, api: httpx.Client, made: Made, script: Upstream) -> None:
    row, key = made(name="First", limit=1.5, limit_reset="weekly")
    assert row.keys() == MEMBERS
    assert keys.is_well_formed(key)
    assert (row["name"], row["label"], row["disabled"]) == ("First", f"{key[:12]}...{key[-3:]}", False)
    assert (row["limit"], row["limit_remaining"], row["limit_reset"]) == (1.5, 1.5, "weekly")
    assert (row["external_user"], row["last_used_at"], row["include_byok_in_limit"]) == (None, None, False)
    assert statuses(product, key) == {200}
    again = api.get(f"/keys/{row['hash']}")
    assert key not in again.text
    found = again.json()["data"]
    assert found["usage"] == found["usage_monthly"] == pytest.approx(12 * 0.000018, abs=1e-12)
    assert found["limit_remaining"] == pytest.approx(1.5 - 12 * 0.000018, abs=1e-12)


def test_whom_a_key_is_for_is_kept(api: httpx.Client, made: Made) -> None:
    row, _ = made(external={"user": "customer-7", "api_key": "theirs"})
    assert row["external_user"] == "customer-7"
    assert api.get(f"/keys/{row['hash']}").json()["data"]["external_user"] == "customer-7"


def test_last_use_is_told_after_the_roll_up(product: Product, api: httpx.Client, made: Made, script: Upstream) -> None:
    row, key = made(name="Used")
    unused, _ = made(name="Unused")
    assert statuses(product, key) == {200}
    product.manage("shell", "-c", "from billing.usage import roll_up; roll_up()")
    moment = datetime.fromisoformat(api.get(f"/keys/{row['hash']}").json()["data"]["last_used_at"])
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    assert api.get(f"/keys/{unused['hash']}").json()["data"]["last_used_at"] is None
    assert statuses(product, key) == {200}


@pytest.mark.parametrize(
    ("limit", "nano"),
    [
        ("0.1", 100_000_000),
        ("0.000000001", 1),
        ("0.3000000000000000444", 300_000_000),
        ("123456.789012345", 123_456_789_012_345),
        ("1e9", 10**18),
        ("0", 0),
        ("null", None),
    ],
)
def test_a_limit_is_kept_to_the_nano_dollar(product: Product, api: httpx.Client, limit: str, nano: int | None) -> None:
    response = api.post("/keys", content=f'{{"name": "Exact", "limit": {limit}}}')
    data = json.loads(response.text, parse_float=Decimal)["data"]
    [(stored,)] = product.sql("SELECT limit_nano FROM accounts_apikey WHERE hash = %s", [data["hash"]])
    assert stored == nano
    assert nano is None or Decimal(data["limit"]) * 10**9 == nano


def test_a_body_out_of_proportion_is_refused(api: httpx.Client) -> None:
    response = api.post("/keys", json={"name": "x" * 3_000_000})
    assert response.status_code == 413
    assert response.json()["error"]["message"] == "The request body is larger than 2 MiB."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 3}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "external": {"api_key": "x"}}, "external"),
        ({"name": "x", "external": {"user": "a\0b"}}, "external.user"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x", "limit": -1}, "limit"),
        ({"name": "x", "limit": "NaN"}, "limit"),
        ({"name": "x", "limit": 1e300}, "limit"),
        ({"name": "x", "limit": True}, "limit"),
        ({"name": "x", "limit_reset": "hourly"}, "limit_reset"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2999-01-01T00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"name": "x", "expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
        ({"name": "x", "creator_user_id": "nobody"}, "creator_user_id"),
        ({"name": "x", "creator_user_id": "019470d6-0000-7000-8000-000000000000"}, "creator_user_id"),
        ({"name": "x", "workspace_id": "019470d6-0000-7000-8000-000000000000"}, "workspace_id"),
        ({"name": "x", "is_management": True}, "is_management"),
    ],
)
def test_a_bad_field_is_named(api: httpx.Client, body: dict[str, Any], field: str) -> None:
    response = api.post("/keys", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 5000, b'{"name": "\xff"}'])
def test_what_is_no_object_is_400(api: httpx.Client, body: bytes) -> None:
    assert api.post("/keys", content=body).status_code == 400


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "include_disabled=perhaps", "workspace_id=x"])
def test_a_bad_parameter_is_named(api: httpx.Client, query: str) -> None:
    response = api.get(f"/keys?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(query.split("=")[0])


def test_the_list_is_newest_first_and_pages(api: httpx.Client, made: Made) -> None:
    hashes = [made(name=f"Page {number}")[0]["hash"] for number in range(3)]
    listed = [row["hash"] for row in api.get("/keys").json()["data"]]
    assert listed[:3] == hashes[::-1]
    assert [row["hash"] for row in api.get("/keys?offset=1").json()["data"]] == listed[1:]
    assert api.get("/keys?offset=100000").json() == {"data": []}


def test_disabled_and_expired_ones_are_listed_on_demand(product: Product, api: httpx.Client, made: Made) -> None:
    disabled, expired = made()[0]["hash"], made()[0]["hash"]
    api.patch(f"/keys/{disabled}", json={"disabled": True})
    product.sql("UPDATE accounts_apikey SET expires_at = now() WHERE hash = %s", [expired])

    def listed(query: str) -> set[str]:
        return {row["hash"] for row in api.get(f"/keys?{query}").json()["data"]} & {disabled, expired}

    assert listed("") == set()
    assert listed("include_disabled=true") == {disabled}
    assert listed("include_expired=true") == {expired}
    assert listed("include_disabled=True&include_expired=True") == {disabled, expired}


def test_management_keys_are_not_managed(product: Product, api: httpx.Client, manager: str) -> None:
    hashes = [row["hash"] for row in api.get("/keys?include_disabled=true").json()["data"]]
    [(own,)] = product.sql("SELECT hash FROM accounts_apikey WHERE label = %s", [f"{manager[:12]}...{manager[-3:]}"])
    assert own not in hashes
    assert api.delete(f"/keys/{own}").status_code == 404


def test_a_change_changes_what_it_names(api: httpx.Client, made: Made) -> None:
    row, _ = made(limit=1, limit_reset="daily", expires_at="2999-01-01T00:00:00Z")
    changed = api.patch(f"/keys/{row['hash']}", json={"name": "Other"}).json()["data"]
    assert changed == row | {"name": "Other", "updated_at": changed["updated_at"]}
    changed = api.patch(f"/keys/{row['hash']}", json={"limit": None, "limit_reset": None}).json()["data"]
    assert (changed["limit"], changed["limit_reset"], changed["name"]) == (None, None, "Other")
    assert api.patch(f"/keys/{row['hash']}", json={}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"),
        ({"disabled": "yes"}, "disabled"),
        ({"limit": -0.01}, "limit"),
        ({"limit_reset": "yearly"}, "limit_reset"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"hash": "x"}, "hash"),
    ],
)
def test_a_bad_change_is_named_and_changes_nothing(
    api: httpx.Client, made: Made, body: dict[str, Any], field: str
) -> None:
    row, _ = made()
    response = api.patch(f"/keys/{row['hash']}", json={"limit_reset": "daily"} | body)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(f"{field}: ")
    assert api.get(f"/keys/{row['hash']}").json()["data"] == row


def test_every_change_leaves_an_audit_event(product: Product, api: httpx.Client, made: Made) -> None:
    row, key = made(limit=1)
    api.patch(f"/keys/{row['hash']}", json={"limit": 2, "disabled": True})
    api.patch(f"/keys/{row['hash']}", json={"limit": -1})
    api.delete(f"/keys/{row['hash']}")
    events = product.sql(
        "SELECT a.verb, a.details - 'by_key', m.is_management, u.email FROM accounts_auditevent a"
        " JOIN accounts_apikey k ON k.id::text = a.target_id AND k.organization_id = a.organization_id"
        " JOIN accounts_apikey m ON m.id::text = a.details->>'by_key' JOIN accounts_user u ON u.id = a.actor_id"
        " WHERE k.hash = %s ORDER BY a.id",
        [row["hash"]],
    )
    changed = {"limit_nano": [10**9, 2 * 10**9], "is_disabled": [False, True]}
    by = (True, "alice@example.com")
    named = {"name": "Test"}
    assert events == [("create", named, *by), ("update", changed, *by), ("delete", named, *by)]
    assert key not in str(product.sql("SELECT details FROM accounts_auditevent"))


# When it takes effect


def within_a_second(product: Product, key: str, expected: int) -> bool:
    time.sleep(0.5)
    return statuses(product, key) == {expected}


def test_a_disabled_key_is_refused_by_every_process(
    product: Product, api: httpx.Client, made: Made, script: Upstream
) -> None:
    row, key = made()
    assert statuses(product, key) == {200}
    api.patch(f"/keys/{row['hash']}", json={"disabled": True})
    assert within_a_second(product, key, 401)
    api.patch(f"/keys/{row['hash']}", json={"disabled": False})
    assert within_a_second(product, key, 200)


def test_a_deleted_key_is_refused_by_every_process_and_gone(
    product: Product, api: httpx.Client, made: Made, script: Upstream
) -> None:
    row, key = made()
    assert statuses(product, key) == {200}
    assert api.delete(f"/keys/{row['hash']}").json() == {"deleted": True}
    assert within_a_second(product, key, 401)
    for method, body in (("GET", None), ("PATCH", {"disabled": False}), ("DELETE", None)):
        assert api.request(method, f"/keys/{row['hash']}", json=body).status_code == 404
    assert row["hash"] not in [one["hash"] for one in api.get("/keys?include_disabled=true").json()["data"]]


def test_a_key_expires_at_its_second(product: Product, made: Made, script: Upstream) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    _, key = made(expires_at=at.isoformat())
    assert statuses(product, key) == {200}
    assert datetime.now(UTC) < at
    time.sleep((at - datetime.now(UTC)).total_seconds() + 0.01)
    assert statuses(product, key) == {401}


def test_a_limit_holds_from_the_next_request(product: Product, api: httpx.Client, made: Made, script: Upstream) -> None:
    row, key = made(limit=0.000001)
    assert statuses(product, key) == {402}
    api.patch(f"/keys/{row['hash']}", json={"limit": 1})
    assert within_a_second(product, key, 200)


# Who may


PATHS = [("GET", "/keys"), ("POST", "/keys"), *((method, "/keys/{}") for method in ("GET", "PATCH", "DELETE"))]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_anonymous_is_401_and_an_inference_key_403(product: Product, made: Made, method: str, path: str) -> None:
    row, key = made()
    for token, status in ((None, 401), (key, 403), ("sk-tp-v1-x", 401)):
        with client(product, token) as other:
            response = other.request(method, path.format(row["hash"]), json={"name": "Mine"})
        assert (response.status_code, response.json()["error"]["code"]) == (status, status)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_another_tenants_key_does_not_exist(api: httpx.Client, outsider: httpx.Client, made: Made, method: str) -> None:
    row, _ = made()
    theirs = outsider.request(method, f"/keys/{row['hash']}", json={"name": "Mine"})
    unknown = outsider.request(method, f"/keys/{'0' * 64}", json={"name": "Mine"})
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.text.replace(row["hash"], "0" * 64) == unknown.text
    assert api.get(f"/keys/{row['hash']}").json()["data"] == row
    assert row["hash"] not in outsider.get("/keys?include_disabled=true").text


@pytest.mark.parametrize("key_hash", ["x", "%00", "%2e%2e", "0" * 64, "Ω" * 64, "A" * 64, "0" * 5000])
def test_what_is_no_hash_is_404(api: httpx.Client, key_hash: str) -> None:
    response = api.get(f"/keys/{key_hash}")
    assert response.status_code == 404
    assert len(response.text) < 1000


@pytest.mark.parametrize(("method", "path"), [("PUT", "/keys"), ("DELETE", "/keys"), ("POST", "/keys/x")])
def test_another_method_is_405(api: httpx.Client, method: str, path: str) -> None:
    assert api.request(method, path).status_code == 405


# The official client


@pytest.fixture
def sdk(product: Product, manager: str) -> Iterator[OpenRouter]:
    with OpenRouter(api_key=manager, server_url=f"{product.url}/api/v1", retry_config=None) as sdk:
        yield sdk


def test_the_sdk_manages_keys(sdk: OpenRouter) -> None:
    expires_at = datetime(2999, 1, 1, tzinfo=UTC)
    made = sdk.api_keys.create(
        name="SDK", limit=0.1, limit_reset="monthly", include_byok_in_limit=True, expires_at=expires_at
    )
    assert keys.is_well_formed(made.key)
    assert (made.data.limit, made.data.limit_reset, made.data.expires_at) == (0.1, "monthly", expires_at)
    changed = sdk.api_keys.update(hash=made.data.hash, name="Other", disabled=True, limit=None)
    assert (changed.data.name, changed.data.disabled, changed.data.limit) == ("Other", True, None)
    assert sdk.api_keys.get(hash=made.data.hash).data.name == "Other"
    assert made.data.hash not in [row.hash for row in sdk.api_keys.list().data]
    assert made.data.hash in [row.hash for row in sdk.api_keys.list(include_disabled=True, offset=0).data]
    assert sdk.api_keys.delete(hash=made.data.hash).DELETED is True
    with pytest.raises(errors.NotFoundResponseError):
        sdk.api_keys.get(hash=made.data.hash)
    with pytest.raises(errors.BadRequestResponseError, match="limit: "):
        sdk.api_keys.create(name="SDK", limit=-1)


async def test_the_sdk_manages_keys_async(sdk: OpenRouter) -> None:
    made = await sdk.api_keys.create_async(name="SDK")
    assert (await sdk.api_keys.get_async(hash=made.data.hash)).data.limit is None
    assert (await sdk.api_keys.update_async(hash=made.data.hash, limit=2)).data.limit == 2
    assert (await sdk.api_keys.list_async()).data[0].hash == made.data.hash
    assert (await sdk.api_keys.delete_async(hash=made.data.hash)).DELETED is True


def test_any_offset_from_utc_will_do(made: Made) -> None:
    assert made(expires_at="2999-01-01T00:00:00+23:59")[0]["expires_at"].startswith("2998-12-31T00:01:00")
