"""Old generations: whole months go, in time and never too early."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from accounts.ids import uuid7
from billing import retention, tasks, usage
from billing.models import Generation, UsageApp, UsageDay, UsageHour, UsageMark
from tests.services import Servers, manage

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).date()


@pytest.fixture(autouse=True)
def summed_up() -> None:
    UsageMark.objects.create(pk=1, rolled_up_until=datetime.now(UTC))


def month(begin: date) -> str:
    """Makes the partition of a month, with a generation in it."""
    name = f"billing_generation_{begin:%Y_%m}"
    end = (begin + timedelta(days=32)).replace(day=1)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {name} PARTITION OF billing_generation"
            f" FOR VALUES FROM (uuid7_floor('{begin}')) TO (uuid7_floor('{end}'))"
        )
        cursor.execute(
            "INSERT INTO billing_generation (id, organization_id, outcome, created_at)"
            " VALUES (uuid7_floor(%s), gen_random_uuid(), 'ok', now())",
            [begin],
        )
    return name


@pytest.fixture
def earlier() -> list[str]:
    """The names of the last 12 months before this one, newest first."""
    begins = [TODAY.replace(day=1)]
    for _ in range(12):
        begins.append((begins[-1] - timedelta(days=1)).replace(day=1))
    return [month(begin) for begin in begins[1:]]


def test_months_that_are_wholly_older_go(earlier: list[str]) -> None:
    before = set(retention.partitions())
    tasks.prune()
    gone = before - set(retention.partitions())
    limit = TODAY - timedelta(days=90)
    assert gone == {name for name in earlier if (retention.end_of(name) or TODAY) <= limit}
    assert 8 <= len(gone) <= 10
    assert Generation.objects.count() == 12 - len(gone)
    tasks.prune()
    assert before - set(retention.partitions()) == gone


def test_not_before_usage_is_summed_up(earlier: list[str]) -> None:
    UsageMark.objects.update(rolled_up_until=datetime.now(UTC) - timedelta(days=3))
    assert retention.drop_old_generations() == []
    UsageMark.objects.all().delete()
    assert retention.drop_old_generations() == []
    assert set(earlier) <= set(retention.partitions())


def test_old_rows_of_the_default_partition_go() -> None:
    with connection.cursor() as cursor:
        for day in (TODAY - timedelta(days=89), TODAY - timedelta(days=91)):
            cursor.execute(
                "INSERT INTO billing_generation (id, organization_id, outcome, created_at)"
                " VALUES (uuid7_floor(%s), gen_random_uuid(), 'ok', now())",
                [day],
            )
    tasks.prune()
    assert Generation.objects.count() == 1


def test_a_partition_in_use_stays_and_nobody_waits_for_long() -> None:
    name = next(name for name in retention.partitions() if retention.end_of(name))
    with psycopg.connect(settings.DATABASE_URL, dbname=connection.settings_dict["NAME"]) as other:
        other.execute(f"LOCK TABLE {name} IN ACCESS SHARE MODE".encode())
        began = datetime.now(UTC)
        assert not retention.drop(name)
    assert datetime.now(UTC) - began < timedelta(seconds=2)
    assert name in retention.partitions()


def test_a_month_is_made_later_when_generations_are_in_use_and_settlements_do_not_wait() -> None:
    furthest = max(name for name in retention.partitions() if retention.end_of(name))
    # By connections of their own: what is dropped within the test's transaction stays locked until its end.
    database = connection.settings_dict["NAME"]
    with ThreadPoolExecutor(1) as worker:
        with psycopg.connect(settings.DATABASE_URL, dbname=database) as own:
            own.execute(f"DROP TABLE {furthest}".encode())
        with psycopg.connect(settings.DATABASE_URL, dbname=database) as reader:
            reader.execute("SELECT FROM billing_generation")
            making = worker.submit(tasks.partitions)
            time.sleep(0.1)
            with psycopg.connect(settings.DATABASE_URL, dbname=database) as till:
                till.execute("SET lock_timeout = '3s'")
                till.execute(
                    "INSERT INTO billing_generation (id, organization_id, outcome, created_at)"
                    " VALUES (uuid7_floor(%s), gen_random_uuid(), 'ok', now())",
                    [TODAY],
                )
                till.rollback()
            making.result(5)
            assert furthest not in retention.partitions()
        worker.submit(tasks.partitions).result(5)
        worker.submit(lambda: connection.close()).result(5)
    assert furthest in retention.partitions()


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("billing_generation_2026_01", date(2026, 2, 1)),
        ("billing_generation_2026_12", date(2027, 1, 1)),
        ("billing_generation_default", None),
    ],
)
def test_the_end_of_a_month(name: str, end: date | None) -> None:
    assert retention.end_of(name) == end


def test_less_than_60_days_is_refused(servers: Servers) -> None:
    environment = {**os.environ, "GENERATION_RETENTION_DAYS": "59"}
    done = manage(environment, "check", check=False)
    assert done.returncode != 0
    assert ImproperlyConfigured.__name__ in done.stderr


def test_sums_by_hour_go_and_days_stay() -> None:
    long_ago = datetime.now(UTC) - timedelta(days=settings.GENERATION_RETENTION_DAYS + 1)
    sums = ("requests", "errors", *usage.SUMS)
    for hour in (long_ago, long_ago + timedelta(days=2)):
        UsageHour.objects.create(hour=hour, organization_id=uuid7(), **dict.fromkeys(sums, 0))
        own = {"hour": hour, "organization_id": uuid7(), "app": "Editor", "requests": 1, "errors": 0, "charge": 0}
        UsageApp.objects.create(prompt_tokens=0, completion_tokens=0, **own)
        UsageDay.objects.create(day=hour.date(), organization_id=uuid7(), **dict.fromkeys(sums, 0))
    tasks.prune()
    assert (UsageHour.objects.count(), UsageApp.objects.count(), UsageDay.objects.count()) == (1, 1, 2)
