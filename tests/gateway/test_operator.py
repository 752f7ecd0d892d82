"""What an operator turns in the admin holds in every process within a second; what processes know is shown there."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import catalogue
from tests.operators import Operator
from tests.services import Product, Servers, running
from tests.upstream import Upstream, failure, text_reply
from tests.waiting import until

pytestmark = pytest.mark.thorough

IN_TIME_S = 15
PROVIDER = "providers.provider"
PROVIDERS, ENDPOINTS, MODELS = (f"/admin/providers/{name}/" for name in ("provider", "endpoint", "model"))


@pytest.fixture(scope="module")
def product(servers: Servers, provider: Upstream) -> Iterator[Product]:
    # Of these providers the breakers are on.
    text = catalogue(provider.url).replace(" quirks: {breaker: false}", "")
    with running(servers, catalogue=text, web=2) as product:
        yield product


@pytest.fixture(autouse=True)
def as_before(product: Product) -> Iterator[None]:
    yield
    for table in ("provider", "endpoint"):
        product.sql(f"UPDATE providers_{table} SET is_enabled = true, is_draining = false, max_concurrency = NULL")
    product.sql("UPDATE providers_model SET is_enabled = true")
    product.sql("UPDATE accounts_organization SET suspended_at = NULL WHERE suspended_at IS NOT NULL")
    time.sleep(0.3)


@pytest.fixture(scope="module")
def operator(product: Product) -> Operator:
    return Operator(product)


@pytest.fixture(scope="module")
def key(product: Product) -> str:
    return product.issue_key()


def ask(product: Product, key: str, model: str = "acme/three", **fields: Any) -> httpx.Response:
    return product.ask(key, model, **fields)


def answers(product: Product, key: str, model: str = "acme/three") -> set[str]:
    """Who answers, asked often enough that each process has its say; a status where nobody does."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ask(product, key, model), range(16)))
    return {one.json()["provider"].lower() if one.status_code == 200 else str(one.status_code) for one in found}


def within_a_second(act: Callable[[], object], product: Product, key: str, expected: set[str], model: str) -> None:
    act()
    time.sleep(1)
    assert answers(product, key, model) == expected


def ids(product: Product, table: str, column: str) -> dict[str, str]:
    rows = product.sql(f"SELECT {column}, id FROM providers_{table}")
    return {name: str(id_) for name, id_ in rows}


def events(product: Product, kind: str, target: object) -> list[tuple[Any, ...]]:
    query = "SELECT verb, details FROM accounts_auditevent WHERE target_type = %s AND target_id = %s ORDER BY id"
    return product.sql(query, [kind, str(target)])


def test_providers_are_disabled_and_enabled_together(
    product: Product, operator: Operator, key: str, script: Upstream
) -> None:
    found = ids(product, "provider", "slug")
    two = found["primary"], found["secondary"]
    within_a_second(lambda: operator.act(PROVIDERS, "disable", *two), product, key, {"tertiary"}, "acme/three")
    told = events(product, PROVIDER, two[0])
    assert told[-1] == ("disable", {"name": "Primary", "is_enabled": [True, False]})
    # What is off already is left alone.
    operator.act(PROVIDERS, "disable", two[0])
    assert events(product, PROVIDER, two[0]) == told
    within_a_second(lambda: operator.act(PROVIDERS, "enable", *two), product, key, {"primary"}, "acme/one")
    assert [verb for verb, _ in events(product, PROVIDER, two[1])][-2:] == ["disable", "enable"]


def test_a_provider_drains_and_takes_requests_again(
    product: Product, operator: Operator, key: str, script: Upstream
) -> None:
    primary = ids(product, "provider", "slug")["primary"]
    within_a_second(lambda: operator.act(PROVIDERS, "drain", primary), product, key, {"503"}, "acme/one")
    assert events(product, PROVIDER, primary)[-1] == ("update", {"name": "Primary", "is_draining": [False, True]})
    within_a_second(lambda: operator.act(PROVIDERS, "fill", primary), product, key, {"primary"}, "acme/one")


def test_endpoints_and_models_are_switched_in_bulk(
    product: Product, operator: Operator, key: str, script: Upstream
) -> None:
    rows = product.sql(
        "SELECT e.tag, e.id FROM providers_endpoint e JOIN providers_model m ON m.id = e.model_id"
        " WHERE m.slug = 'acme/three' ORDER BY e.tag"
    )
    primary, secondary, _ = (str(id_) for _, id_ in rows)
    operator.act(ENDPOINTS, "drain", primary)
    within_a_second(lambda: operator.act(ENDPOINTS, "disable", secondary), product, key, {"tertiary"}, "acme/three")
    operator.act(ENDPOINTS, "fill", primary)
    operator.act(ENDPOINTS, "enable", secondary)
    other = ids(product, "model", "slug")["acme/other"]
    within_a_second(lambda: operator.act(MODELS, "disable", other), product, key, {"400"}, "acme/other")
    within_a_second(lambda: operator.act(MODELS, "enable", other), product, key, {"tertiary"}, "acme/other")
    assert [verb for verb, _ in events(product, "providers.endpoint", secondary)] == ["disable", "enable"]


def row_of(page: str, table: str, name: str) -> list[str]:
    """The cells of the row that begins with this name."""
    inside = page.partition(f'id="{table}"')[2].partition("</table>")[0]
    rows = [re.sub(r"<[^>]+>", "|", row) for row in inside.split("<tr>")]
    return next(([cell for cell in row.split("|") if cell.strip()] for row in rows if name in row), [])


def test_the_first_page_shows_breakers_as_they_open_and_close(
    product: Product, operator: Operator, key: str, script: Upstream
) -> None:
    assert "all breakers are closed" in operator.page("/admin/")
    script.script("one-primary", failure(503))
    for _ in range(6):
        ask(product, key, "acme/one")

    def is_open() -> bool:
        # Asked again each time: its pause may be over before a slow page is there.
        ask(product, key, "acme/one")
        return "open" in row_of(operator.page("/admin/"), "resting", "acme/one")

    until(is_open, IN_TIME_S)
    # Its pause is over: the next request tries it.
    until(lambda: "half-open" in row_of(operator.page("/admin/"), "resting", "acme/one"), IN_TIME_S)
    script.script("one-primary", [text_reply()])
    until(
        lambda: ask(product, key, "acme/one").status_code == 200 and "breakers are closed" in operator.page("/admin/"),
        IN_TIME_S,
    )
    script.script("three-secondary", failure(429, **{"Retry-After": "60"}))
    ask(product, key, provider={"order": ["secondary"], "allow_fallbacks": True})
    until(lambda: "cooling down" in row_of(operator.page("/admin/"), "resting", "acme/three"), IN_TIME_S)


def test_the_first_page_shows_who_waits_for_a_provider(
    product: Product, operator: Operator, key: str, script: Upstream
) -> None:
    product.sql("UPDATE providers_provider SET max_concurrency = 2 WHERE slug = 'tertiary'")
    time.sleep(0.5)
    script.script("other-tertiary", [{"sleep": 5}, text_reply()])
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, product, key, "acme/other") for _ in range(8)]
        until(lambda: row_of(operator.page("/admin/"), "providers", "Tertiary")[-2:] == ["2 of 2", "6"], IN_TIME_S)
        script.script("other-tertiary", [text_reply()])
        assert {one.result().status_code for one in asked} == {200}
    # A provider of which there is nothing to tell has no row.
    until(lambda: row_of(operator.page("/admin/"), "providers", "Tertiary")[-1:] in (["0"], []), IN_TIME_S)
    # An endpoint's own limit.
    product.sql("UPDATE providers_provider SET max_concurrency = NULL")
    product.sql("UPDATE providers_endpoint SET max_concurrency = 1 WHERE upstream_model = 'other-tertiary'")
    time.sleep(0.5)
    script.script("other-tertiary", [{"sleep": 5}, text_reply()])
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, product, key, "acme/other") for _ in range(3)]
        until(lambda: row_of(operator.page("/admin/"), "limited", "acme/other")[-2:] == ["1 of 1", "2"], IN_TIME_S)
        script.script("other-tertiary", [text_reply()])
        assert {one.result().status_code for one in asked} == {200}


def test_a_suspended_organization_is_refused_by_every_process(
    product: Product, operator: Operator, key: str, script: Upstream
) -> None:
    [(organization,)] = product.sql("SELECT organization_id FROM accounts_apikey ORDER BY id LIMIT 1")
    admin = f"/admin/accounts/organization/{organization}"
    assert answers(product, key, "acme/one") == {"primary"}
    within_a_second(
        lambda: operator.post(f"{admin}/suspend/", {"reason": "Unpaid invoices."}), product, key, {"403"}, "acme/one"
    )
    refused = ask(product, key)
    assert refused.json()["error"]["code"] == 403
    assert "suspended" in refused.json()["error"]["message"]
    assert "Unpaid invoices." in refused.json()["error"]["message"]
    headers = {"Authorization": f"Bearer {key}"}
    # Each in the words of its path.
    messages = {"model": "acme/one", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    anthropic = httpx.post(f"{product.url}/api/v1/messages", json=messages, headers=headers).json()
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "permission_error")
    assert httpx.get(f"{product.url}/api/v1/credits", headers=headers).status_code == 200
    within_a_second(
        lambda: operator.post(f"{admin}/resume/", {"reason": "Paid."}), product, key, {"primary"}, "acme/one"
    )
    assert events(product, "accounts.organization", organization)[-2:] == [
        ("suspend", {"reason": "Unpaid invoices."}),
        ("resume", {"reason": "Paid."}),
    ]
