"""Somebody buys credit in real Chromium on the hosted page of emulate, which tells the product by a signed event.

emulate knows no prices made on the spot and keeps no amounts in its sessions; a small server in front of it makes the
prices and adds the amounts. The pages, the payment and the event are emulate's own.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from gateway.local.configuration import bind
from tests import npm
from tests.browsing import page_of
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.shop import PASSWORD, USER
from tests.stripe_server import KEY, SECRET, unflattened
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def emulate() -> Path:
    return npm.script("emulate/dist/index.js")


@contextmanager
def emulated(script: Path, directory: Path, webhook: str, port: int) -> Iterator[httpx.Client]:
    """It serves Stripe's API and checkout pages, and signs its events."""
    hook = {"url": webhook, "events": ["*"], "secret": SECRET}
    seed = directory / "emulate.json"
    seed.write_text(json.dumps({"stripe": {"webhooks": [hook]}}))
    argv = ["node", str(script), "start", "--service", "stripe", "--port", str(port), "--seed", str(seed)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://localhost:{port}", headers={"Authorization": f"Bearer {KEY}"}) as client:
            until(lambda: is_up(client), 90, "emulate is up")
            yield client
    finally:
        process.terminate()
        process.wait()


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/v1/customers").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def completed(port: int, client: httpx.Client) -> Iterator[None]:
    """The server in front."""
    totals: dict[str, int] = {}

    def make_prices(text: str) -> tuple[dict[str, str], int]:
        given = unflattened(text)
        fields, total = {"mode": given["mode"], "success_url": given["success_url"]}, 0
        fields |= {"customer": given["customer"], "cancel_url": given["cancel_url"]}
        fields |= {f"metadata[{name}]": value for name, value in given["metadata"].items()}
        for number, item in given["line_items"].items():
            price = item["price_data"]
            product = client.post("/v1/products", data={"name": price["product_data"]["name"]}).json()["id"]
            made = {"currency": price["currency"], "unit_amount": price["unit_amount"], "product": product}
            fields[f"line_items[{number}][price]"] = client.post("/v1/prices", data=made).json()["id"]
            fields[f"line_items[{number}][quantity]"] = item["quantity"]
            total += int(price["unit_amount"]) * int(item["quantity"])
        return fields, total

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(client.get(self.path))

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if self.path != "/v1/checkout/sessions":
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                self.answer(client.post(self.path, content=text, headers=form))
                return
            fields, total = make_prices(text)
            made = client.post(self.path, data=fields)
            totals[made.json()["id"]] = total
            self.answer(made)

        def answer(self, answer: httpx.Response) -> None:
            row = answer.json()
            if row.get("id") in totals:
                row |= {"amount_total": totals[row["id"]], "currency": "usd"}
            body = json.dumps(row).encode()
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with bind("127.0.0.1", 0) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def shop(servers: Servers, emulate: Path, chromium: Browser) -> Iterator[Product]:
    front = free_port()
    env = {
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": f"http://127.0.0.1:{front}",
        "TOPUP_FEE_PERCENT": "5.5",
        "TOPUP_FEE_MIN": "0.80",
    }
    with running(servers, catalogue=catalogue("http://127.0.0.1:9/v1"), env=env) as product:
        product.manage("shell", "-c", USER.format(email="alice@example.com", password=PASSWORD))
        webhook = f"{product.url}/webhooks/stripe"
        with emulated(emulate, product.directory, webhook, free_port()) as client, completed(front, client):
            yield product


@pytest.fixture
def page(chromium: Browser, shop: Product) -> Iterator[Page]:
    with page_of(chromium) as page:
        page.goto(f"{shop.url}/login")
        page.get_by_label("Email").fill("alice@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Log in", exact=True).click()
        page.get_by_role("heading", name="alice@example.com").wait_for()
        yield page


def test_buying_credit(shop: Product, page: Page) -> None:
    page.get_by_role("link", name="Credits").click()
    assert "A fee of 5.5 %, at least $0.80 is added." in page.locator("main").inner_text()
    page.locator("#buy_amount").fill("20")
    page.get_by_role("button", name="Go to payment").click()
    # Ours says what it will be, and goes on by itself.
    page.get_by_role("button", name="Pay $21.10").wait_for()
    assert "/checkout/" in page.url
    page.get_by_role("button", name="Pay $21.10").click()
    page.get_by_text("$20.00 of credit added. Thank you.").wait_for()
    assert page.url == f"{shop.url}/credits"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shop.sql("SELECT credit_cents, fee_cents FROM billing_topup WHERE status = 'paid'") == [(2000, 110)]
    # Its event came as well, and moved nothing twice.
    told = "SELECT processed_at IS NOT NULL FROM billing_stripeevent WHERE type = 'checkout.session.completed'"
    until(lambda: shop.sql(told) == [(True,)], 90, "the event of emulate")
    assert shop.sql("SELECT credit FROM billing_wallet") == [(20 * 10**9,)]
    with page.expect_download() as download:
        page.get_by_role("link", name="Transactions as CSV").click()
    assert ",top_up,paid,20.00," in Path(download.value.path()).read_text()
    receipt = page.get_by_role("link", name="Receipt").get_attribute("href")
    assert page.request.get(f"{shop.url}{receipt}").body().startswith(b"%PDF-")


def test_going_back_without_paying(shop: Product, page: Page) -> None:
    page.goto(f"{shop.url}/credits")
    before = shop.sql("SELECT coalesce(sum(credit), 0) FROM billing_wallet")
    page.get_by_role("button", name="Go to payment").click()
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url(f"{shop.url}/credits")
    assert shop.sql("SELECT coalesce(sum(credit), 0) FROM billing_wallet") == before
