"""Roll-ups: every generation counts once, whenever the task ran and however often."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.db import DatabaseError, connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from accounts.ids import uuid7
from billing import tasks, usage
from billing.models import Generation, UsageDay, UsageHour, UsageMark, UsageTotal

pytestmark = pytest.mark.django_db

ALICE, CHARLIE = uuid7(), uuid7()
KEY, OTHER_KEY = uuid7(), uuid7()
ENDPOINT = uuid7()
SUMS = ("requests", "errors", *usage.SUMS)
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)


def closed(at: datetime, organization: UUID = ALICE, key: UUID | None = KEY, **more: Any) -> None:
    fields: dict[str, Any] = {
        "outcome": "ok",
        "model": "acme/one",
        "provider": "acme",
        "provider_name": "Acme",
        "endpoint_id": ENDPOINT,
        "charge": 18_000,
        "list_charge": 18_001,
        "cost": 18_002,
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "reasoning_tokens": 2,
        "cached_tokens": 1,
    }
    fields |= {"organization_id": organization, "api_key_id": key, "created_at": at, "closed_at": at}
    Generation.objects.create(id=uuid7(), **fields | more)


def rows(table: type[UsageHour] | type[UsageDay]) -> list[dict[str, Any]]:
    found = table.objects.values(
        "organization_id", "api_key_id", "model", "provider", "endpoint_id", *SUMS, *period(table)
    )
    return sorted(found, key=repr)


def period(table: type[UsageHour] | type[UsageDay]) -> tuple[str]:
    return ("hour",) if table is UsageHour else ("day",)


def both() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return rows(UsageHour), rows(UsageDay)


def test_sums_by_hour_and_day() -> None:
    for minutes in (0, 59, 60):
        closed(NOON + timedelta(minutes=minutes))
    tasks.usage()
    first, second = UsageHour.objects.order_by("hour")
    assert (first.hour, first.requests, second.requests) == (NOON, 2, 1)
    assert (first.prompt_tokens, first.completion_tokens, first.reasoning_tokens, first.cached_tokens) == (20, 8, 4, 2)
    assert (first.charge, first.list_charge, first.cost, first.errors) == (36_000, 36_002, 36_004, 0)
    day = UsageDay.objects.get()
    assert (day.day, day.requests, day.charge, day.provider_name) == (NOON.date(), 3, 54_000, "Acme")


def test_apart_by_organization_key_model_provider_and_endpoint() -> None:
    closed(NOON)
    for other in (
        {"organization": CHARLIE},
        {"key": OTHER_KEY},
        {"key": None},
        {"model": "acme/two"},
        {"provider": "other"},
        {"endpoint_id": uuid7()},
    ):
        closed(NOON, **other)
    tasks.usage()
    assert [row["requests"] for row in rows(UsageHour)] == [1] * 7
    assert [row["requests"] for row in rows(UsageDay)] == [1] * 7


def test_errors_are_counted_and_named_by_what_was_asked_for() -> None:
    failed: dict[str, Any] = {"model": "", "provider": "", "provider_name": "", "endpoint_id": None, "charge": 0}
    closed(NOON, outcome="error", requested_model="acme/one", **failed)
    closed(NOON, outcome="expired", requested_model="acme/one", **failed)
    closed(NOON, outcome="cancelled")
    tasks.usage()
    without, answered = UsageDay.objects.order_by("provider")
    assert (without.model, without.requests, without.errors) == ("acme/one", 2, 2)
    assert (answered.requests, answered.errors) == (1, 0)


def test_midnight_is_utc() -> None:
    midnight = NOON.replace(hour=0)
    closed(midnight - timedelta(microseconds=1))
    closed(midnight)
    tasks.usage()
    days = UsageDay.objects.order_by("day").values_list("day", flat=True)
    assert list(days) == [midnight.date() - timedelta(days=1), midnight.date()]
    assert UsageHour.objects.order_by("hour").values_list("hour", flat=True)[1] == midnight


def test_twice_changes_nothing() -> None:
    for hours in range(60):
        closed(NOON + timedelta(hours=hours) - timedelta(days=1))
    tasks.usage()
    before = both()
    assert sum(row["requests"] for row in before[0]) == sum(row["requests"] for row in before[1])
    tasks.usage()
    assert both() == before


def test_a_row_that_becomes_visible_late_is_counted() -> None:
    """Its transaction was under way when the task ran."""
    now = datetime.now(UTC)
    closed(now - timedelta(seconds=20))
    tasks.usage()
    closed(now - timedelta(seconds=30))
    tasks.usage()
    assert sum(row["requests"] for row in rows(UsageDay)) == 2


def test_the_id_may_be_much_older_than_the_end() -> None:
    tasks.usage()
    closed(datetime.now(UTC), created_at=NOON - timedelta(days=10))
    tasks.usage()
    assert UsageDay.objects.get().requests == 1


def test_a_pause_of_days_is_made_good() -> None:
    closed(NOON - timedelta(days=5))
    tasks.usage()
    UsageMark.objects.update(rolled_up_until=NOON - timedelta(days=5))
    for days in range(7):
        closed(NOON - timedelta(days=4) + timedelta(days=days) / 2)
    tasks.usage()
    assert sum(row["requests"] for row in rows(UsageDay)) == 8


def test_a_run_that_died_is_made_good() -> None:
    closed(NOON - timedelta(days=3))
    closed(NOON)
    with mock.patch.object(usage, "DAYS", "SELECT 1/0"), pytest.raises(DatabaseError):
        tasks.usage()
    assert both() == ([], [])
    tasks.usage()
    assert [row["requests"] for row in rows(UsageDay)] == [1, 1]


def test_what_was_done_before_it_died_stays() -> None:
    closed(NOON - timedelta(days=20))
    closed(NOON)
    chunk = usage._roll_up_chunk
    with (
        mock.patch.object(usage, "_roll_up_chunk", side_effect=[chunk(), chunk(), DatabaseError]),
        pytest.raises(DatabaseError),
    ):
        tasks.usage()
    assert UsageDay.objects.count() == 1
    tasks.usage()
    assert [row["requests"] for row in rows(UsageDay)] == [1, 1]


def test_a_clock_that_was_set_back_loses_nothing() -> None:
    tasks.usage()
    UsageMark.objects.update(rolled_up_until=datetime.now(UTC) + timedelta(days=300))
    closed(datetime.now(UTC))
    tasks.usage()
    assert UsageDay.objects.get().requests == 1


def test_nothing_to_do() -> None:
    tasks.usage()
    assert both() == ([], [])


def test_every_partition_has_the_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT generation_partitions(4)")
        cursor.execute(
            "SELECT count(*) FILTER (WHERE i.indexdef LIKE '%%brin%%autosummarize%%'), count(DISTINCT i.tablename)"
            " FROM pg_indexes i WHERE i.tablename LIKE 'billing_generation\\_%%'"
        )
        with_index, partitions = cursor.fetchone()
    assert with_index == partitions > 4


def totals() -> dict[str, dict[str, int]]:
    """Requests of all days, by what and by name."""
    found: dict[str, dict[str, int]] = {}
    for total in UsageTotal.objects.all():
        names = found.setdefault(total.by, {})
        names[total.name] = names.get(total.name, 0) + total.requests
    return found


def is_true_to_its_sums(total: UsageTotal) -> bool:
    column = {"organization": "organization_id", "model": "model", "provider": "provider"}[total.by]
    days = UsageDay.objects.filter(day=total.day, **{column: total.name})
    names = ("requests", "errors", "prompt_tokens", "completion_tokens", "charge", "cost", "write_off")
    sums = days.aggregate(**{f"all_{name}": Sum(name, default=0) for name in names})
    return all(sums[f"all_{name}"] == getattr(total, name) for name in names)


def test_totals_follow_their_sums() -> None:
    for hours, more in ((0, {}), (1, {"outcome": "error"}), (2, {"model": "acme/two"}), (3, {"organization": CHARLIE})):
        closed(NOON + timedelta(hours=hours), write_off=3, **more)
    closed(NOON - timedelta(days=1), provider="other")
    tasks.usage()
    expected = {
        "organization": {str(ALICE): 4, str(CHARLIE): 1},
        "model": {"acme/one": 4, "acme/two": 1},
        "provider": {"acme": 4, "other": 1},
    }
    assert totals() == expected
    UsageMark.objects.update(rolled_up_until=NOON - timedelta(days=2))
    tasks.usage()
    assert totals() == expected
    assert all(map(is_true_to_its_sums, UsageTotal.objects.all()))


def test_totals_follow_what_is_changed_by_hand() -> None:
    closed(NOON)
    closed(NOON, key=OTHER_KEY, model="acme/two")
    tasks.usage()
    UsageDay.objects.filter(model="acme/two").update(charge=7, day=NOON.date() - timedelta(days=1))
    assert all(map(is_true_to_its_sums, UsageTotal.objects.all()))
    UsageDay.objects.filter(model="acme/two").delete()
    assert totals()["model"] == {"acme/one": 1, "acme/two": 0}
    assert all(map(is_true_to_its_sums, UsageTotal.objects.all()))


def test_what_is_asked_of_everybody_reads_totals_alone() -> None:
    closed(NOON)
    tasks.usage()
    with CaptureQueriesContext(connection) as queries:
        assert usage.tokens_by_model(days=30) == {"acme/one": 14}
        assert usage.tokens_by_day("acme/one", days=30) == {NOON.date(): 14}
    read = " ".join(query["sql"] for query in queries)
    assert "billing_usagetotal" in read
    assert "billing_usageday" not in read
