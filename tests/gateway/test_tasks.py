"""Worker and beat as they run: killed in the middle, started again, with schedules changed meanwhile."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.tasks import sessions
from tests.gateway.conftest import catalogue
from tests.services import Product, Servers, manage, running
from tests.upstream import Upstream
from tests.waiting import until

pytestmark = pytest.mark.slow

EVERY_SECOND = (
    "from django_celery_beat.models import *;"
    "each, _ = IntervalSchedule.objects.get_or_create(every=1, period='seconds');"
    "row = PeriodicTask.objects.get(name='{}'); row.interval = each; row.save()"
)


@pytest.fixture(scope="module")
def product(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url), worker=True) as product:
        until(lambda: product.sql("SELECT 1 FROM django_celery_beat_periodictask WHERE name = 'usage'"), 30)
        product.manage("shell", "-c", EVERY_SECOND.format("usage"))
        yield product


def closed(product: Product, *, charge: int) -> None:
    product.sql(
        "INSERT INTO billing_generation (id, organization_id, outcome, model, charge, created_at, closed_at)"
        " SELECT uuid7_floor(current_date) , gen_random_uuid(), 'ok', 'acme/one', %s, now(), now()",
        [charge],
    )


def charges(product: Product) -> list[int]:
    tables = ("billing_usagehour", "billing_usageday")
    return [int(product.sql(f"SELECT coalesce(sum(charge), 0) FROM {table}")[0][0]) for table in tables]


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in children for found in (int(child), *descendants(int(child)))]


def waits_for_the_lock(product: Product) -> bool:
    found = "SELECT 1 FROM pg_locks WHERE relation = 'billing_usagehour'::regclass AND NOT granted"
    return bool(product.sql(found))


@pytest.mark.timeout(180)
def test_tasks_killed_in_the_middle_run_again(product: Product) -> None:
    closed(product, charge=5)
    until(lambda: charges(product) == [5, 5], 30)
    worker = product.pids[1]
    with psycopg.connect(product.environment["DATABASE_URL"]) as other:
        other.execute("LOCK TABLE billing_usagehour IN SHARE MODE")
        product.sql("UPDATE billing_generation SET charge = 7")
        until(lambda: waits_for_the_lock(product), 30)
        for pid in descendants(worker):
            os.kill(pid, signal.SIGKILL)
        time.sleep(2)
    until(lambda: charges(product) == [7, 7], 30)
    with psycopg.connect(product.environment["DATABASE_URL"]) as other:
        other.execute("LOCK TABLE billing_usagehour IN SHARE MODE")
        product.sql("UPDATE billing_generation SET charge = 9")
        until(lambda: waits_for_the_lock(product), 30)
        pool = descendants(worker)
        product.kill()
        for pid in pool:
            os.kill(pid, signal.SIGKILL)
    assert charges(product) == [7, 7]
    product.start()
    until(lambda: charges(product) == [9, 9], 30)
    # The schedule that was changed in the database is still in force, not that of the settings.
    changed = "SELECT i.every, i.period FROM django_celery_beat_periodictask t"
    changed += " JOIN django_celery_beat_intervalschedule i ON i.id = t.interval_id WHERE t.name = 'usage'"
    assert product.sql(changed) == [(1, "seconds")]
    # Tasks that nobody took in time are dropped instead of being piled up.
    assert product.sql("SELECT expire_seconds FROM django_celery_beat_periodictask WHERE name = 'tick'") == [(5,)]


def test_a_price_is_served_from_its_moment(product: Product) -> None:
    [(endpoint,)] = product.sql(
        "SELECT e.id FROM providers_endpoint e JOIN providers_model m ON m.id = e.model_id WHERE m.slug = 'acme/one'"
    )
    product.sql(
        "INSERT INTO providers_price (endpoint_id, prompt, completion, source, as_of, effective_from, created_at)"
        " VALUES (%s, 9000000, 9000000, 'test', current_date, now() + interval '4 seconds', now())",
        [endpoint],
    )

    def price() -> str:
        rows = httpx.get(f"{product.url}/api/v1/models").json()["data"]
        return str(next(row["pricing"]["prompt"] for row in rows if row["id"] == "acme/one"))

    began = time.monotonic()
    time.sleep(1)
    assert price() == "0.000001"
    until(lambda: price() == "0.000009", 15)
    assert time.monotonic() - began > 3.9


@pytest.mark.django_db
def test_expired_sessions_are_deleted() -> None:
    for days in (-1, 1):
        moment = timezone.now() + timedelta(days=days)
        Session.objects.create(session_key=f"key{days}", session_data="", expire_date=moment)
    for _ in range(2):
        sessions()
        assert Session.objects.get().session_key == "key1"


def test_every_process_queues_where_the_worker_looks(servers: Servers) -> None:
    url = servers.new_redis()
    environment = {**os.environ, "DATABASE_URL": servers.new_database(), "REDIS_URL": url}
    told = manage(environment, "issue_key", "--email", "queue@example.com", "--management").stdout
    # The mail about it waits for a worker, and is not in the way here.
    assert told.split() == [told.strip()]
    assert redis.Redis.from_url(url).llen("default") == 1
