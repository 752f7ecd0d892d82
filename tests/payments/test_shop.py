"""Payments at a gateway that runs as in production: several processes, real sockets, events that arrive at once."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests import stripe_server
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.shop import logged_in, post
from tests.stripe_server import KEY, SECRET, Stripe, signed

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def stripe() -> Iterator[Stripe]:
    with stripe_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def shop(servers: Servers, stripe: Stripe) -> Iterator[Product]:
    env = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_API_BASE": stripe.url}
    with running(servers, catalogue=catalogue("http://127.0.0.1:9/v1"), env=env, web=2) as product:
        yield product


@pytest.fixture
def alice(shop: Product) -> Iterator[httpx.Client]:
    client = logged_in(shop, "alice@example.com")
    yield client
    client.close()


def test_the_same_payment_told_many_times_at_once_is_credited_once(
    shop: Product, stripe: Stripe, alice: httpx.Client
) -> None:
    assert post(alice, "/credits/buy", amount="10").status_code == 200
    (session,) = stripe.rows["checkout/sessions"].values()
    stripe.pay(session["id"])
    told = [stripe.event("checkout.session.completed", session) for _ in range(6)] * 4
    come_back = re.sub(r"^.*(/credits/)", r"\1", session["success_url"])

    def tell(payload: bytes) -> int:
        return httpx.post(
            f"{shop.url}/webhooks/stripe", content=payload, headers={"Stripe-Signature": signed(payload)}, timeout=30
        ).status_code

    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(tell, payload) for payload in told]
        pages = [pool.submit(alice.get, come_back) for _ in range(6)]
        assert {answer.result() for answer in answers} == {200}
        assert {page.result().status_code for page in pages} == {200}
    assert shop.sql("SELECT credit, version FROM billing_wallet") == [(10 * 10**9, 1)]
    assert shop.sql("SELECT count(*) FROM billing_ledgertransaction WHERE kind = 'top_up'") == [(1,)]
    assert shop.sql("SELECT count(*) FROM billing_stripeevent WHERE processed_at IS NULL") == [(0,)]


def test_the_key_without_the_webhook_secret_does_not_start(shop: Product) -> None:
    environment: dict[str, Any] = {**shop.environment, "STRIPE_WEBHOOK_SECRET": ""}
    assert "STRIPE_WEBHOOK_SECRET" in refusal(environment)
    assert "sk_" in refusal({**shop.environment, "STRIPE_SECRET_KEY": "pk_live_x"})
    for name, value in (
        ("TOPUP_MIN", "0.10"),
        ("TOPUP_MAX", "1"),
        ("TOPUP_FEE_PERCENT", "101"),
        ("TOPUP_FEE_MIN", "x"),
    ):
        assert name in refusal({**shop.environment, name: value})


def refusal(environment: dict[str, Any]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import gateway.settings"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    return done.stderr
