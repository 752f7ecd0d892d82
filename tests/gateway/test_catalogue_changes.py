"""A change of the catalogue is served by every running process within a second, whoever made it."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

PROCESSES = 3


@pytest.fixture(scope="module")
def product(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url), web=PROCESSES) as product:
        yield product


def prompt_prices(product: Product) -> set[str]:
    """The price of acme/one as the processes tell it; a connection each, so that each of them is asked in time."""
    found = set()
    with httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        for _ in range(PROCESSES * 8):
            answer = http.get(f"{product.url}/api/v1/models")
            assert answer.status_code == 200, answer.text
            rows = answer.json()["data"]
            found |= {row["pricing"]["prompt"] for row in rows if row["id"] == "acme/one"} or {"not listed"}
    return found


def within_a_second(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if condition():
            return True
    return condition()


def test_a_change_beside_a_change_of_keys_is_served_by_all(product: Product, provider: Upstream) -> None:
    """PostgreSQL tells both in one message."""
    product.import_catalogue(catalogue(provider.url))
    assert within_a_second(lambda: prompt_prices(product) == {"0.000001"})
    for is_enabled, told in ((False, {"not listed"}), (True, {"0.000001"})):
        product.sql(
            "DO $$ BEGIN"
            f" UPDATE providers_model SET is_enabled = {is_enabled} WHERE slug = 'acme/one';"
            " PERFORM pg_notify('turnpike_key', 'another'); END $$"
        )
        assert within_a_second(lambda told=told: prompt_prices(product) == told)  # type: ignore[misc]


def test_an_import_is_served_by_all(product: Product, provider: Upstream) -> None:
    text = catalogue(provider.url)
    for price in ("0.000003", "0.000004", "0.000001"):
        product.import_catalogue(text.replace('prompt: "0.000001"', f'prompt: "{price}"'))
        assert within_a_second(lambda price=price: prompt_prices(product) == {price})  # type: ignore[misc]


def test_a_switch_in_the_database_is_served_by_all(product: Product) -> None:
    product.sql("UPDATE providers_provider SET is_enabled = false WHERE slug = 'primary'")
    assert within_a_second(lambda: prompt_prices(product) == {"not listed"})
    product.sql("UPDATE providers_provider SET is_enabled = true WHERE slug = 'primary'")
    assert within_a_second(lambda: prompt_prices(product) == {"0.000001"})
