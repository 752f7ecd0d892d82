"""The admin's first page: the last day in numbers, for who may see money, in a few queries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.ids import uuid7
from accounts.models import User
from billing import ledger
from billing.models import Hold, UsageHour
from providers.importer import import_catalogue
from tests.gateway.conftest import catalogue

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client: Client) -> Client:
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def used(hours_ago: int, provider: str, **sums: int) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    zero = dict.fromkeys(
        ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "charge", "list_charge", "cost"), 0
    )
    UsageHour.objects.create(
        hour=now - timedelta(hours=hours_ago),
        organization_id=uuid7(),
        model="acme/one",
        provider=provider,
        provider_name=provider.title(),
        **{"requests": 1, "errors": 0, **zero, **sums},
    )


def shown(client: Client) -> dict[str, Any]:
    response = client.get("/admin/")
    assert response.status_code == 200
    found: dict[str, Any] = response.context[0].flatten()  # type: ignore[index]
    return found


def test_the_last_day_in_numbers(root: Client) -> None:
    used(0, "primary", requests=6, errors=2, charge=3 * 10**9, cost=10**9)
    used(23, "secondary", requests=2, charge=10**9, cost=10**9)
    used(24, "secondary", requests=100, charge=10**12)
    alice = User.objects.create_user("alice@example.com").personal_organization
    ledger.grant(alice, amount=5 * 10**9, reason="test")
    Hold.objects.create(
        generation=uuid7(), organization=alice, wallet_amount=7, list_amount=7, due_tick=9, budgets=[], record={}
    )
    seen = shown(root)
    day, hour = seen["day"], seen["hour"]
    assert (day.requests, day.errors, day.charge, day.cost, day.margin) == (8, 2, 4 * 10**9, 2 * 10**9, 2 * 10**9)
    assert (hour.requests, hour.error_percent) == (6, pytest.approx(100 / 3))
    assert (seen["open"].holds, seen["open"].held, seen["open"].credit) == (1, 7, 5 * 10**9)
    assert [(row.provider.slug, row.sums.requests) for row in seen["providers"]] == [("primary", 6), ("secondary", 2)]
    assert len(seen["bars"]) == 24
    assert (seen["bars"][-1].height, seen["bars"][-1].failed, seen["bars"][0].height) == (60, 20, 20)


def test_an_empty_installation_has_a_page_too(root: Client) -> None:
    seen = shown(root)
    assert (seen["day"].requests, seen["day"].error_percent, seen["providers"]) == (0, 0, [])


def test_money_is_not_for_all_staff(client: Client) -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    client.force_login(staff)
    assert "day" not in shown(client)
    staff.user_permissions.add(Permission.objects.get(codename="view_generation"))
    assert "day" in shown(client)


def test_more_traffic_takes_no_more_queries(root: Client) -> None:
    counts = []
    for number in range(2):
        for hour in range(12 * number, 12 * number + 12):
            used(hour, ("primary", "secondary", "tertiary")[hour % 3])
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown(root)
        counts.append(len(queries))
    assert counts[0] == counts[1] < 20


def test_without_redis_there_is_a_page_that_says_so(root: Client, settings: Any) -> None:
    used(0, "primary", requests=6)
    settings.REDIS_URL = "unix:///nowhere.sock"
    seen = shown(root)
    assert (seen["heard"], seen["resting"], seen["day"].requests) == (None, [], 6)
    assert b"Redis does not answer" in root.get("/admin/").content
