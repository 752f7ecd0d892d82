"""Saved cards, automatic top-ups, declines and refunds against localstripe, by web, worker and its signed events.

It has no checkout sessions, so a card is attached to the customer at localstripe itself.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.local.configuration import bind
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.shop import logged_in, post
from tests.stripe_server import KEY, SECRET
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
IN_TIME_S = 90
FINE, FAILS_LATER = "4242424242424242", "4000000000000341"
CUSTOMER = """
from accounts.models import User
from billing.payments.profiles import customer_of
user = User.objects.get(email="{email}")
print(customer_of(user.personal_organization, email=user.email))
"""
REMEMBER = """
from accounts.models import User
from billing.payments.profiles import remember_card
print(remember_card(User.objects.get(email="{email}").personal_organization, "{method}"))
"""


class LocalStripe:
    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=(KEY, ""), timeout=30)

    def post(self, path: str, **fields: Any) -> Any:
        answer = self.client.post(path, data=fields)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def card(self, customer: str, number: str) -> str:
        fields = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2031"}
        id: str = self.post("/v1/payment_methods", **fields, **{"card[cvc]": "123"})["id"]
        self.post(f"/v1/payment_methods/{id}/attach", customer=customer)
        return id


@pytest.fixture(scope="module")
def stripe() -> Iterator[LocalStripe]:
    if not socket.has_dualstack_ipv6():
        pytest.skip("localstripe listens on IPv6, which is not there")
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        stripe = LocalStripe(port)
        until(lambda: is_up(stripe), IN_TIME_S, "localstripe is up")
        yield stripe
        stripe.client.close()
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def shop(servers: Servers, stripe: LocalStripe) -> Iterator[Product]:
    env = {
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": str(stripe.client.base_url).rstrip("/"),
        "TOPUP_FEE_FIXED": "0.50",
    }
    with running(servers, catalogue=catalogue("http://127.0.0.1:9/v1"), env=env, worker=True) as product:
        stripe.post("/_config/webhooks/shop", url=f"{product.url}/webhooks/stripe", secret=SECRET)
        yield product


def is_up(stripe: LocalStripe) -> bool:
    try:
        return stripe.client.get("/v1/customers").status_code == 200
    except httpx.TransportError:
        return False


def keep_card(shop: Product, stripe: LocalStripe, email: str, number: str) -> None:
    customer = shop.manage("shell", "-c", CUSTOMER.format(email=email)).stdout.split()[-1]
    method = stripe.card(customer, number)
    assert "True" in shop.manage("shell", "-c", REMEMBER.format(email=email, method=method)).stdout


def top_ups(shop: Product, email: str) -> list[tuple[Any, ...]]:
    return shop.sql(
        "SELECT t.status, t.credit_cents, t.fee_cents, t.error, t.stripe_intent FROM billing_topup t"
        " JOIN accounts_user u ON u.email = %s JOIN accounts_membership m ON m.user_id = u.id"
        " WHERE m.organization_id = t.organization_id ORDER BY t.id",
        (email,),
    )


def test_a_kept_card_pays_and_is_paid_back(shop: Product, stripe: LocalStripe) -> None:
    alice = logged_in(shop, "alice@example.com")
    keep_card(shop, stripe, "alice@example.com", FINE)
    assert "Visa ···· 4242" in alice.get("/credits").text
    assert "Saved." in post(alice, "/credits/automatic", is_automatic="on", threshold="5", amount="25").text
    # Beat and worker do it.
    until(lambda: [row[0] for row in top_ups(shop, "alice@example.com")] == ["paid"], IN_TIME_S, "the automatic top-up")
    ((_, credit, fee, _, intent),) = top_ups(shop, "alice@example.com")
    assert (credit, fee) == (2500, 50)
    assert stripe.client.get(f"/v1/payment_intents/{intent}").json()["amount"] == 2550
    until(
        lambda: shop.sql("SELECT 1 FROM billing_stripeevent WHERE type = 'payment_intent.succeeded'"),
        IN_TIME_S,
        "its event",
    )
    assert shop.sql("SELECT credit FROM billing_wallet") == [(25 * 10**9,)]
    assert "$25.00" in alice.get("/credits").text

    operator = administrator(shop)
    refund(shop, operator, "10.00")
    assert shop.sql("SELECT status, credit_cents FROM billing_refund") == [("paid", 1000)]
    (made,) = stripe.client.get("/v1/refunds", params={"payment_intent": intent}).json()["data"]
    assert (made["amount"], made["status"]) == (1000, "succeeded")
    assert shop.sql("SELECT credit FROM billing_wallet") == [(15 * 10**9,)]
    assert "All checks passed." in shop.manage("verify_ledger").stdout


def test_a_declined_card_waits(shop: Product, stripe: LocalStripe) -> None:
    bob = logged_in(shop, "bob@example.com")
    keep_card(shop, stripe, "bob@example.com", FAILS_LATER)
    post(bob, "/credits/automatic", is_automatic="on", threshold="5", amount="25")
    until(lambda: [row[0] for row in top_ups(shop, "bob@example.com")] == ["failed"], IN_TIME_S, "the declined top-up")
    ((_, _, _, error, _),) = top_ups(shop, "bob@example.com")
    assert "declined" in error
    assert "The last automatic top-up failed" in bob.get("/credits").text
    assert shop.sql("SELECT failures FROM billing_billingprofile WHERE retry_at > now()") == [(1,)]


def administrator(shop: Product) -> httpx.Client:
    email = "operator@example.com"
    client = logged_in(shop, email)
    shop.sql("UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE email = %s", (email,))
    return client


def refund(shop: Product, operator: httpx.Client, amount: str) -> None:
    ((id,),) = shop.sql("SELECT id FROM billing_topup WHERE status = 'paid'")
    path = f"/admin/billing/topup/{id}/refund/"
    shown = operator.get(path).text
    fields = dict(re.findall(r'name="(token|csrfmiddlewaretoken)" value="([^"]+)"', shown))
    assert set(fields) == {"token", "csrfmiddlewaretoken"}, shown
    given = {**fields, "amount": amount, "reason": "asked for"}
    assert "refunded" in operator.post(path, data=given, headers={"Referer": shop.url}).text
