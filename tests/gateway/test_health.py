"""/livez and /readyz while servers come and go: on servers of this file's own."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, running
from tests.upstream import Upstream, text_reply, text_stream
from tests.waiting import until

GOOD = {"migrated": "ok", "catalogue": "ok", "postgresql": "ok", "redis": "ok"}


@pytest.fixture(scope="module")
def own() -> Iterator[Servers]:
    directory = Path(tempfile.mkdtemp(prefix="turnpike-test-", dir="/tmp"))
    # PostgreSQL runs as another user when root runs the tests.
    directory.chmod(0o711)
    servers = Servers(directory)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def gateway(own: Servers, provider: Upstream) -> Iterator[Product]:
    with running(own, catalogue=catalogue(provider.url)) as product:
        yield product


@pytest.fixture(scope="module")
def key(gateway: Product) -> str:
    return gateway.issue_key()


@pytest.fixture
def chat(gateway: Product, key: str, script: Upstream) -> Callable[[], httpx.Response]:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    url, headers = f"{gateway.url}/api/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    return lambda: httpx.post(url, json=body, headers=headers, timeout=30)


def ready(product: Product) -> tuple[int, dict[str, Any]]:
    response = httpx.get(f"{product.url}/readyz", timeout=5)
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


def wait_for(product: Product, status: str, *, within: float = 5) -> tuple[int, dict[str, Any]]:
    deadline = time.monotonic() + within
    while (found := ready(product))[1]["status"] != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@contextmanager
def launched(product: Product) -> Iterator[Product]:
    try:
        product.launch()
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"{product.url}/livez", timeout=1)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, product.log
        yield product
    finally:
        product.close()
        print(product.log)


def test_all_is_well(gateway: Product) -> None:
    assert ready(gateway) == (200, {"status": "ok", "checks": GOOD})
    live = httpx.get(f"{gateway.url}/livez")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})


def test_probes_want_no_key_and_mind_no_wrong_one(gateway: Product) -> None:
    for path in ("livez", "readyz"):
        assert httpx.get(f"{gateway.url}/{path}", headers={"Authorization": "Bearer wrong"}).status_code == 200


def test_a_database_without_tables_is_starting_until_it_is_migrated(own: Servers, provider: Upstream) -> None:
    product = Product(own, {"DATABASE_URL": own.empty_database()}, web=1, worker=False)
    with launched(product):
        status, body = ready(product)
        assert (status, body["status"]) == (503, "starting")
        assert (body["checks"]["migrated"], body["checks"]["postgresql"]) == ("failing", "ok")
        assert httpx.get(f"{product.url}/livez").status_code == 200
        # Not an empty list, which clients would believe.
        assert httpx.get(f"{product.url}/api/v1/models").status_code == 503
        product.manage("migrate", "--verbosity", "0")
        product.import_catalogue(catalogue(provider.url))
        assert wait_for(product, "ok") == (200, {"status": "ok", "checks": GOOD})


def test_it_may_be_ended_while_it_is_starting(own: Servers) -> None:
    product = Product(own, {"DATABASE_URL": own.empty_database()}, web=1, worker=False)
    product.launch()
    try:
        # It waits for migrations.
        listens = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
        until(lambda: product.sql(listens))
        product.stop()
        assert "Traceback" not in product.log
    finally:
        product.close()


def test_an_empty_catalogue_is_starting_until_it_is_filled(own: Servers, provider: Upstream) -> None:
    with launched(Product(own, {}, web=1, worker=False)) as product:
        status, body = wait_for(product, "starting")
        assert (status, body["checks"]["catalogue"]) == (503, "failing")
        product.import_catalogue(catalogue(provider.url))
        assert wait_for(product, "ok", within=1.5)[0] == 200


def test_without_redis_it_is_degraded_and_answers(
    own: Servers, gateway: Product, chat: Callable[[], httpx.Response]
) -> None:
    own.signal_one("valkey", signal.SIGKILL)
    try:
        status, body = wait_for(gateway, "degraded")
        assert (status, body["checks"]) == (200, GOOD | {"redis": "failing"})
        assert chat().status_code == 200
    finally:
        own.stop_one("valkey")
        own.start_one(own.valkey)
    assert wait_for(gateway, "ok")[0] == 200


def test_redis_that_hangs_is_as_good_as_none(
    own: Servers, gateway: Product, chat: Callable[[], httpx.Response]
) -> None:
    own.signal_one("valkey", signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert ready(gateway)[1]["status"] == "degraded"
        assert time.monotonic() - began < 3
        assert chat().status_code == 200
    finally:
        own.signal_one("valkey", signal.SIGCONT)
    assert wait_for(gateway, "ok")[0] == 200


@pytest.mark.slow
def test_without_postgresql_it_is_unavailable_and_comes_back_by_itself(
    own: Servers, gateway: Product, chat: Callable[[], httpx.Response]
) -> None:
    assert chat().status_code == 200
    own.stop_one("postgres")
    try:
        status, body = wait_for(gateway, "unavailable")
        assert (status, body["checks"]["postgresql"]) == (503, "failing")
        assert httpx.get(f"{gateway.url}/livez").status_code == 200
        began = time.monotonic()
        refused = chat()
        assert refused.status_code == 503
        assert 4 < time.monotonic() - began < 8
        assert refused.json()["error"]["metadata"]["error_type"] == "provider_overloaded"
        assert int(refused.headers["Retry-After"]) >= 1
    finally:
        own.start_one(own.postgres)
    wait_for(gateway, "ok")
    assert chat().status_code == 200
    assert gateway.sql("SELECT count(*) FROM billing_hold") == [(0,)]


@pytest.mark.slow
def test_an_open_stream_outlives_postgresqls_absence_and_is_charged_after_it(
    own: Servers, gateway: Product, key: str, script: Upstream
) -> None:
    first, *rest = text_stream()
    script.script("one-primary", [first, {"sleep": 1.5}, *rest])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    url, headers = f"{gateway.url}/api/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as stream:
        lines = stream.iter_lines()
        next(lines)
        own.stop_one("postgres")
        try:
            assert list(lines)[-2:] == ["data: [DONE]", ""]
        finally:
            own.start_one(own.postgres)
    generation = stream.headers["X-Generation-Id"]
    deadline = time.monotonic() + 5
    while (found := httpx.get(f"{gateway.url}/api/v1/generation?id={generation}", headers=headers)).status_code != 200:
        assert time.monotonic() < deadline, found.text
        time.sleep(0.1)
    assert found.json()["data"]["total_cost"] == pytest.approx(0.000018)


def test_a_process_that_is_told_to_end_takes_no_more_but_finishes_what_it_has(
    own: Servers, gateway: Product, key: str, script: Upstream
) -> None:
    env = {name: gateway.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
    script.script("one-primary", [*text_stream()[:2], {"sleep": 1}, *text_stream()[2:]])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with running(own, env=env) as other:
        url, headers = f"{other.url}/api/v1/chat/completions", {"Authorization": f"Bearer {key}"}
        with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as stream:
            lines = stream.iter_lines()
            next(lines)
            other.stop()
            assert list(lines)[-2:] == ["data: [DONE]", ""]


@pytest.mark.slow
def test_what_does_not_end_in_time_is_told_to_come_again(
    own: Servers, gateway: Product, key: str, script: Upstream
) -> None:
    env = {name: gateway.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
    script.script("one-primary", [{"sleep": 30}, text_reply()])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
    with running(own, env=env) as other, ThreadPoolExecutor() as pool:
        url, headers = f"{other.url}/api/v1/chat/completions", {"Authorization": f"Bearer {key}"}
        answer = pool.submit(httpx.post, url, json=body, headers=headers, timeout=30)
        time.sleep(1)
        other.stop()
        response = answer.result()
    assert response.status_code == 503
    assert response.json()["error"]["code"] == 503
    assert not gateway.sql("SELECT FROM billing_hold")
    assert "Traceback" not in other.log
