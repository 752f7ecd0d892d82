"""Markup: customers see, hold and pay list price times (1 + markup); generations keep what it cost."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

FREE = """
  - slug: acme/free
    name: Free
    context_length: 8192
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {provider: primary, tag: primary, upstream_model: free-primary, prices: {prompt: "0", completion: "0"}}
"""
# 10 prompt tokens at 0.000001 and 4 at 0.000002: what the scripted upstream answers without a script.
LIST_NANO = 18_000


@pytest.fixture(scope="module")
def own(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url) + FREE[1:], env={"MARKUP_PERCENT": "10"}) as product:
        yield product


@pytest.fixture(scope="module")
def keys(own: Product) -> dict[str, str]:
    return {name: own.issue_key(f"{name}@example.com", "1") for name in ("alice", "bob")}


@pytest.fixture
def markup(own: Product) -> Iterator[Callable[..., None]]:
    """Sets markups: (organization of, model, millionths); what was set before goes."""

    def set_(*rows: tuple[str | None, str, int]) -> None:
        values = [(name and organization(own, name), model, millionths) for name, model, millionths in rows]
        own.sql("DELETE FROM billing_markup")
        for row in values:
            own.sql("INSERT INTO billing_markup (organization_id, model, millionths) VALUES (%s, %s, %s)", row)

    yield set_
    set_()


def organization(own: Product, name: str) -> str:
    query = (
        "SELECT organization_id FROM accounts_apikey k JOIN accounts_user u ON u.id = created_by_id WHERE email = %s"
    )
    return str(own.sql(query, (f"{name}@example.com",))[0][0])


def get(own: Product, path: str, key: str = "") -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(f"{own.url}/api/v1{path}", headers=headers).json()["data"]


def shown(own: Product, key: str = "", model: str = "acme/one") -> Any:
    return get(own, f"/models/{model}/endpoints", key)["endpoints"][0]["pricing"]["prompt"]


def until_shown(own: Product, price: str, key: str = "", model: str = "acme/one") -> None:
    deadline = time.monotonic() + 20
    while shown(own, key, model) != price:
        assert time.monotonic() < deadline, shown(own, key, model)
        time.sleep(0.05)


def spent(own: Product, key: str, model: str = "acme/one") -> tuple[int, int, int]:
    """Charge, what counts against the key's limit, and cost; all that tells of the charge agrees."""
    before = round(get(own, "/key", key)["usage"] * 10**9)
    answer = own.ask(key, model).json()
    newest = "SELECT charge, list_charge, cost FROM billing_generation ORDER BY id DESC LIMIT 1"
    [(charge, listed, cost)] = own.sql(newest)
    assert round(answer["usage"]["cost"] * 10**9) == charge
    details = answer["usage"]["cost_details"]
    parts = details["upstream_inference_prompt_cost"] + details["upstream_inference_completions_cost"]
    assert round(parts * 10**9) == charge
    assert round(get(own, f"/generation?id={answer['id']}", key)["total_cost"] * 10**9) == charge
    assert round(get(own, "/key", key)["usage"] * 10**9) - before == listed
    return charge, listed, cost


def test_the_setting_is_for_everybody(own: Product, keys: dict[str, str], script: Upstream) -> None:
    until_shown(own, "0.0000011")
    assert shown(own, keys["bob"]) == "0.0000011"
    assert spent(own, keys["bob"]) == (19_800, 19_800, LIST_NANO)


def test_free_stays_free(own: Product, keys: dict[str, str], script: Upstream) -> None:
    assert shown(own, model="acme/free") == "0"
    assert spent(own, keys["bob"], "acme/free") == (0, 0, 0)


def test_the_nearest_markup_counts(
    own: Product, keys: dict[str, str], markup: Callable[..., None], script: Upstream
) -> None:
    markup((None, "acme/one", 500_000), ("alice", "", 1_000_000), ("alice", "acme/three", -1_000_000))
    until_shown(own, "0.0000015")
    assert shown(own, keys["bob"]) == "0.0000015"
    assert shown(own, keys["bob"], "acme/other") == "0.0000011"
    assert shown(own, keys["alice"]) == "0.000002"
    assert shown(own, keys["alice"], "acme/three") == "0"
    assert spent(own, keys["bob"]) == (27_000, 27_000, LIST_NANO)
    assert spent(own, keys["alice"]) == (36_000, 36_000, LIST_NANO)
    assert spent(own, keys["alice"], "acme/three") == (0, 0, LIST_NANO)


def test_a_markup_for_all_in_the_admin_wins_over_the_setting(
    own: Product, keys: dict[str, str], markup: Callable[..., None]
) -> None:
    markup((None, "", 0))
    until_shown(own, "0.000001")
    assert shown(own, keys["alice"]) == "0.000001"


def test_each_price_is_rounded_half_up(own: Product, markup: Callable[..., None]) -> None:
    # 1,000,000 pico-USD times 1.0000005 ends in a half.
    markup((None, "acme/one", 1))
    until_shown(own, "0.000001000001")
    cached = get(own, "/models/acme/one/endpoints")["endpoints"][0]["pricing"]["input_cache_read"]
    assert cached == "0.0000001"
    own.sql("UPDATE billing_markup SET millionths = 5")
    until_shown(own, "0.000001000005")
    cached = get(own, "/models/acme/one/endpoints")["endpoints"][0]["pricing"]["input_cache_read"]
    assert cached == "0.000000100001"


def test_the_hold_is_at_the_customers_price(
    own: Product, keys: dict[str, str], markup: Callable[..., None], script: Upstream
) -> None:
    """What pays at list price does not pay at ten times of it."""
    poor = own.issue_key("poor@example.com", "0.0001")
    markup((None, "", 9_000_000))
    until_shown(own, "0.00001")
    assert own.ask(poor, max_tokens=16).status_code == 402
    markup((None, "", 0))
    until_shown(own, "0.000001")
    assert own.ask(poor, max_tokens=16).status_code == 200


def test_max_price_is_of_the_customers_prices(
    own: Product, keys: dict[str, str], markup: Callable[..., None], script: Upstream
) -> None:
    limit = {"max_price": {"prompt": 1}}
    until_shown(own, "0.0000011")
    assert own.ask(keys["bob"], provider=limit).status_code == 404
    markup((None, "", 0))
    until_shown(own, "0.000001")
    assert own.ask(keys["bob"], provider=limit).status_code == 200


def test_the_page_shows_what_customers_pay(own: Product) -> None:
    until_shown(own, "0.0000011")
    assert "1.10" in httpx.get(f"{own.url}/models/acme/one").text


def test_till_and_book_agree(own: Product) -> None:
    assert "All checks passed." in own.manage("verify_ledger").stdout
