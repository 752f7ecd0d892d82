"""Health probes of providers, and what follows from the clock: prices that begin, rows that are too old."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from providers import health, prices, tasks
from providers.models import Credential, Endpoint, Model, Price, Probe, Provider

SECRET = "sk-very-secret-key-1234"


class Vendor(ThreadingHTTPServer):
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.delay_s = 0.0
        self.seen: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Vendor

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("authorization")))
        time.sleep(self.server.delay_s)
        self.send_response(self.server.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def provider(base_url: str, *, secret: str = SECRET, slug: str = "acme", **fields: Any) -> Provider:
    row = Provider.objects.create(slug=slug, name=slug.title(), wire="openai", base_url=base_url, **fields)
    if secret:
        credential = Credential(provider=row)
        credential.set_secret(secret)
        credential.save()
    return row


@pytest.mark.django_db
def test_the_models_list_is_asked_for_with_the_key(vendor: Vendor) -> None:
    provider(vendor.url)
    vendor.delay_s = 0.05
    tasks.probe()
    assert vendor.seen == [("/v1/models", f"Bearer {SECRET}")]
    found = Probe.objects.get()
    assert (found.provider.slug, found.is_up, found.status, found.error) == ("acme", True, 200, "")
    assert 50 <= found.latency_ms < 5000
    assert timezone.now() - found.checked_at < timedelta(seconds=10)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "is_up"),
    [(200, True), (302, True), (404, True), (429, True), (401, False), (402, False), (403, False), (500, False)],
)
def test_who_answers_us_is_up(vendor: Vendor, status: int, is_up: bool) -> None:
    provider(vendor.url)
    vendor.status = status
    tasks.probe()
    assert Probe.objects.values_list("status", "is_up").get() == (status, is_up)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("base_url", "error"),
    [
        ("http://127.0.0.1:1/v1", "ConnectError"),
        ("http://turnpike.invalid/v1", "ConnectError"),
        ("http://[::1/v1", "InvalidURL"),
    ],
)
def test_who_cannot_be_reached_is_down(vendor: Vendor, base_url: str, error: str) -> None:
    provider(base_url, slug="gone")
    provider(vendor.url)
    tasks.probe()
    assert Probe.objects.values_list("is_up", "status", "error").get(provider__slug="gone") == (False, None, error)
    assert Probe.objects.get(provider__slug="acme").is_up


@pytest.mark.django_db
def test_a_silent_one_is_down_in_time(vendor: Vendor) -> None:
    provider(vendor.url)
    vendor.delay_s = 2
    with mock.patch.object(health, "ANSWER_TIMEOUT_S", 0.2):
        tasks.probe()
    found = Probe.objects.get()
    assert (found.is_up, found.status) == (False, None)
    assert found.error in ("ReadTimeout", "TimeoutError")
    assert found.latency_ms < 1500


@pytest.mark.django_db
def test_secrets_are_neither_logged_nor_kept(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    provider(vendor.url)
    provider(vendor.url, slug="odd", secret=f"{SECRET}\nΩ")
    with caplog.at_level(logging.DEBUG):
        tasks.probe()
    assert SECRET not in caplog.text
    assert not Probe.objects.get(provider__slug="odd").is_up
    assert SECRET not in str(list(Probe.objects.values()))


@pytest.mark.django_db
def test_who_is_off_is_not_asked(vendor: Vendor) -> None:
    provider(vendor.url, slug="disabled", is_enabled=False)
    provider(vendor.url, slug="unprobed", quirks={"probe": False})
    provider(vendor.url, slug="keyless", secret="", api_key_env="TURNPIKE_TEST_NO_SUCH_KEY")
    provider("http://${TURNPIKE_TEST_NO_SUCH_HOST}/v1", slug="homeless")
    tasks.probe()
    assert vendor.seen == []
    assert not Probe.objects.exists()


@pytest.mark.django_db
def test_an_open_server_is_asked_without_a_key(vendor: Vendor) -> None:
    provider(vendor.url, secret="")
    tasks.probe()
    assert vendor.seen == [("/v1/models", None)]


@pytest.mark.django_db
def test_twice_in_a_minute_is_once(vendor: Vendor) -> None:
    provider(vendor.url)
    minute = timezone.now()
    with mock.patch.object(timezone, "now", return_value=minute):
        tasks.probe()
        tasks.probe()
    assert len(vendor.seen) == Probe.objects.count() == 1
    with mock.patch.object(timezone, "now", return_value=minute + timedelta(minutes=1)):
        tasks.probe()
    assert len(vendor.seen) == Probe.objects.count() == 2


def noted(row: Provider, ago: timedelta, *, is_up: bool = True) -> None:
    at = timezone.now() - ago
    Probe.objects.create(provider=row, minute=at, checked_at=at, is_up=is_up, latency_ms=1)


@pytest.mark.django_db
def test_uptime() -> None:
    acme, other = provider("http://x"), provider("http://y", slug="other")
    for minutes, is_up in ((1, True), (2, False), (20, True), (25, True), (600, False), (2000, False)):
        noted(acme, timedelta(minutes=minutes), is_up=is_up)
    noted(other, timedelta(minutes=45))
    assert Probe.objects.uptime(timedelta(minutes=5)) == {"acme": 0.5}
    assert Probe.objects.uptime(Probe.HALF_AN_HOUR) == {"acme": 0.75}
    assert Probe.objects.uptime(timedelta(days=1)) == {"acme": 0.6, "other": 1.0}


@pytest.mark.django_db
def test_old_probes_are_deleted() -> None:
    acme = provider("http://x")
    noted(acme, timedelta(days=6, hours=23))
    noted(acme, timedelta(days=7, hours=1))
    for _ in range(2):
        tasks.prune()
        assert Probe.objects.count() == 1


# Prices


def price(**fields: Any) -> None:
    acme = provider("http://x", secret="")
    model = Model.objects.create(slug="acme/one", name="One", context_length=1)
    endpoint = Endpoint.objects.create(model=model, provider=acme, tag="acme", upstream_model="one")
    Price.objects.create(endpoint=endpoint, prompt=1, completion=1, source="test", as_of="2026-01-01", **fields)


@pytest.mark.django_db
def test_a_price_that_begins_is_told_of_once() -> None:
    begins = timezone.now() + timedelta(hours=1)
    price(effective_from=begins)
    assert not prices.announce()
    with mock.patch.object(timezone, "now", return_value=begins + timedelta(seconds=2)):
        assert prices.announce()
        assert not prices.announce()


@pytest.mark.django_db
def test_a_price_that_began_while_no_worker_ran_is_told_of() -> None:
    prices.announce()
    begins = timezone.now() + timedelta(days=1)
    price(effective_from=begins)
    with mock.patch.object(timezone, "now", return_value=begins + timedelta(days=3)):
        assert prices.announce()


@pytest.mark.django_db
def test_prices_that_have_begun_are_no_news() -> None:
    prices.announce()
    price(effective_from=timezone.now() - timedelta(days=1))
    assert not prices.announce()
