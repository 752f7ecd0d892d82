"""The playground without an account: the local model, a few requests an hour for each address, one payer."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from django.core.cache import cache
from django.test import Client

from accounts import keys, visitors
from accounts.models import ApiKey, Organization
from accounts.tasks import sessions
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

LOCAL = """
  - {{slug: local, name: Local, wire: openai, base_url: "{url}", api_key: secret, quirks: {{breaker: false}}}}
models:
  - slug: acme/small
    name: "Acme: small"
    context_length: 8192
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {{provider: local, tag: local, upstream_model: small-local, max_completion_tokens: 512, prices: {prices}}}
      - {{provider: primary, tag: primary, upstream_model: small-primary, prices: {prices}}}
"""
PRICES = '{prompt: "0.000001", completion: "0.000002"}'
# Who pays, and how they are told from others.
PAYER = """
from accounts import organizations
from accounts.models import User
from billing import ledger
host = organizations.found("Host", User.objects.create_user("host@example.com"))
ledger.grant(host, amount=10**9, reason="visitors")
organizations.change(host, name="Host", keeps_content=True)
print(host.pk)
"""


@pytest.fixture(scope="module")
def gateway(servers: Servers, provider: Upstream) -> Iterator[Product]:
    text = catalogue(provider.url).replace("models:\n", LOCAL.format(url=provider.url, prices=PRICES).lstrip("\n"), 1)
    with running(servers, catalogue=text, env={"PROXY_IP_HEADER": "X-Real-IP"}, web=2) as product:
        payer = product.manage("shell", "--verbosity", "0", "-c", PAYER).stdout.split()[-1]
        product.environment["VISITORS_ORGANIZATION"] = payer
        product.restart()
        yield product


class Visitor:
    def __init__(self, product: Product, address: str) -> None:
        self.http = httpx.Client(base_url=product.url, headers={"X-Real-IP": address}, timeout=30)
        self.page = self.http.get("/chat")

    def key(self) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page.text)
        assert found
        response = self.http.post("/chat/visitor", headers={"X-CSRFToken": found[1]})
        assert response.status_code == 200, response.text
        assert "no-store" in response.headers["Cache-Control"]
        return str(response.json()["key"])

    def ask(self, key: str, model: str = "acme/small", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
        return self.http.post("/api/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})


def test_a_visitor_asks_the_local_model_and_the_operator_pays(gateway: Product, script: Upstream) -> None:
    visitor = Visitor(gateway, "192.0.2.1")
    assert "acme/small" in visitor.page.text
    assert "acme/three" not in visitor.page.text
    answer = visitor.ask(visitor.key())
    assert answer.status_code == 200
    assert answer.json()["provider"] == "Local"
    ((charge, name),) = gateway.sql(
        "SELECT g.charge, o.name FROM billing_generation g JOIN accounts_organization o ON o.id = g.organization_id"
        " ORDER BY g.id DESC LIMIT 1"
    )
    assert (charge > 0, name) == (True, "Host")
    # The organization keeps what its own requests say; a visitor has not agreed to that.
    assert gateway.sql("SELECT 1 FROM billing_generationcontent") == []


def test_no_other_model_and_no_other_provider_answers(gateway: Product, script: Upstream) -> None:
    visitor = Visitor(gateway, "192.0.2.2")
    key = visitor.key()
    assert visitor.ask(key, "acme/three").status_code == 404
    assert visitor.ask(key, provider={"only": ["primary"]}).status_code == 404
    assert visitor.ask(key, provider={"order": ["primary"]}).json()["provider"] == "Local"
    assert visitor.ask(key, models=["acme/three", "acme/small"]).json()["model"].startswith("acme/small")
    assert script.seen("small-primary") == script.seen("three-primary") == []


def test_an_address_has_a_few_requests_an_hour_whatever_it_does(gateway: Product, script: Upstream) -> None:
    visitor = Visitor(gateway, "192.0.2.3")
    first, second = visitor.key(), Visitor(gateway, "192.0.2.3").key()
    said = [visitor.ask(key).status_code for key in (first, second) for _ in range(visitors.PER_HOUR)]
    assert said == [200] * visitors.PER_HOUR + [429] * visitors.PER_HOUR
    refused = visitor.ask(second)
    assert "Sign up" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    # The header that the operator named says who calls; another's counts apart.
    other = Visitor(gateway, "192.0.2.4")
    assert other.ask(other.key()).status_code == 200


def test_a_network_of_ipv6_is_one_address(gateway: Product, script: Upstream) -> None:
    said = []
    for number in range(visitors.PER_HOUR + 1):
        visitor = Visitor(gateway, f"2001:db8:1:2::{number + 1:x}")
        said.append(visitor.ask(visitor.key()).status_code)
    assert said == [200] * visitors.PER_HOUR + [429]
    other = Visitor(gateway, "2001:db8:1:3::1")
    assert other.ask(other.key()).status_code == 200


def test_keys_are_given_out_slowly_and_to_our_own_pages(gateway: Product) -> None:
    visitor = Visitor(gateway, "192.0.2.5")
    assert visitor.http.post("/chat/visitor").status_code == 403
    for _ in range(12):
        visitor.key()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.page.text)
    assert token
    assert visitor.http.post("/chat/visitor", headers={"X-CSRFToken": token[1]}).status_code == 429


@pytest.mark.parametrize("path", ["key", "credits", "keys", "activity", "generation?id=gen-1", "models/user"])
def test_a_visitors_key_reads_nothing_of_who_pays(gateway: Product, path: str) -> None:
    visitor = Visitor(gateway, f"198.51.100.{len(path)}")
    answer = visitor.http.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {visitor.key()}"})
    assert answer.status_code == 403
    assert "Host" not in answer.text


def test_nobody_pays_while_the_counters_are_away(gateway: Product, script: Upstream) -> None:
    visitor = Visitor(gateway, "192.0.2.6")
    key = visitor.key()
    assert visitor.ask(key).status_code == 200
    with redis.Redis.from_url(gateway.environment["REDIS_URL"]) as valkey:
        valkey.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        try:
            assert visitor.ask(key).status_code == 429
        finally:
            valkey.execute_command("CLIENT", "UNPAUSE")
    assert visitor.ask(key).status_code == 200


# Pages


@pytest.fixture
def payer(db: None) -> Organization:
    cache.clear()
    return Organization.objects.create(name="Host")


def test_without_a_payer_visitors_are_asked_to_sign_up(client: Client, payer: Organization, settings: Any) -> None:
    for named in (None, "00000000-0000-0000-0000-000000000001"):
        settings.VISITORS_ORGANIZATION = named
        page = client.get("/chat").content.decode()
        assert "/signup?next=/chat" in page
        assert "playground.js" not in page
        assert client.post("/chat/visitor").status_code == 404
        assert "without an account" not in client.get("/").content.decode()
    settings.SIGNUP = "closed"
    assert "/signup?next=/chat" not in client.get("/chat").content.decode()


def test_keys_of_visitors_go_after_a_day(payer: Organization) -> None:
    visitors.issue(payer, "192.0.2.1")
    kept, _ = keys.issue(payer, name="kept")
    sessions()
    assert ApiKey.objects.count() == 2
    ApiKey.objects.exclude(visitor=None).update(expires_at="2020-01-01T00:00Z")
    sessions()
    assert list(ApiKey.objects.all()) == [kept]


def test_a_mark_does_not_tell_the_address() -> None:
    assert visitors.mark("192.0.2.1") == visitors.mark("::ffff:192.0.2.1") != visitors.mark("192.0.2.2")
    assert visitors.mark("2001:db8::1") == visitors.mark("2001:db8::2") != visitors.mark("2001:db8:0:1::1")
    assert visitors.mark("") == visitors.mark("")
