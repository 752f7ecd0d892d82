"""Activity and requests: sums that agree with the ledger, filters, CSV, no other organization's."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, Organization, User
from billing import spending, usage
from billing.activity import SPANS, Group, activity, total
from billing.models import Generation, LedgerEntry, UsageApp, UsageMark, Wallet
from gateway.pages import logs
from tests.gateway.test_dashboard import generate

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def key(alice: User) -> ApiKey:
    return keys.issue(alice.personal_organization, name="laptop", created_by=alice)[0]


@pytest.fixture
def here(alice: User, client: Client) -> Client:
    client.force_login(alice)
    return client


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def spend(organization: Organization, span: str, group: Group = Group.MODEL) -> int:
    found = activity(organization.pk, span, group)
    return sum(total(sums).charge for sums in found.groups.values())


@pytest.mark.parametrize("rolled_up", [False, True])
def test_each_span_has_what_closed_in_it(alice: User, rolled_up: bool) -> None:
    organization = alice.personal_organization
    ages = {"1h": 10, "1d": 20 * 60, "1w": 5 * 1440, "1mo": 25 * 1440, "1y": 300 * 1440}
    for number, minutes in enumerate(ages.values()):
        generate(organization, 10**number, ago=timedelta(minutes=minutes))
    if rolled_up:
        usage.roll_up()
    assert {span: spend(organization, span) for span in SPANS} == {
        "1h": 1, "1d": 11, "1w": 111, "1mo": 1111, "1y": 11111,
    }  # fmt: skip


def test_every_grouping_has_the_same_sum(alice: User, key: ApiKey) -> None:
    organization = alice.personal_organization
    for charge in (3, 5, 7):
        generate(organization, charge, api_key_id=key.pk, provider_name="Acme", app_title="Editor")
    for group in Group:
        assert spend(organization, "1d", group) == 15


def apps(organization: Organization) -> dict[str, tuple[int, int, int, int]]:
    """Of a week: requests, errors, tokens and nano-USD of each."""
    totals = activity(organization.pk, "1w", Group.APP).totals()
    return {name: (sums.requests, sums.errors, sums.tokens, sums.charge) for name, sums in totals.items()}


def spent_by_apps(organization: Organization) -> dict[str, tuple[int, int, int, int]]:
    for days in (0, 1, 3):
        generate(organization, 5, ago=timedelta(days=days), app_title="Editor", prompt_tokens=2, completion_tokens=1)
        generate(organization, 7, ago=timedelta(days=days), http_referer="https://a.example", app_title="")
    failed = generate(organization, 0, ago=timedelta(days=1))
    Generation.objects.filter(pk=failed.pk).update(outcome="error")
    expected = {"https://a.example": (3, 0, 0, 21), "Editor": (3, 0, 9, 15), "": (1, 1, 0, 0)}
    assert apps(organization) == expected
    return expected


def test_apps_are_in_the_roll_ups(alice: User) -> None:
    """Before the last hours no request is read: there they are only in the sums."""
    expected = spent_by_apps(alice.personal_organization)
    usage.roll_up()
    usage.roll_up()
    assert apps(alice.personal_organization) == expected
    Generation.objects.filter(closed_at__lt=datetime.now(UTC) - timedelta(hours=12)).delete()
    assert apps(alice.personal_organization) == expected


def test_of_the_running_day_the_last_hours_alone_are_read(alice: User) -> None:
    organization = alice.personal_organization
    for charge, hours in ((1, 0), (10, 3), (100, 20), (1000, 30), (10_000, 80)):
        generate(organization, charge, ago=timedelta(hours=hours))
    spans = {span: spend(organization, span) for span in SPANS}
    days = spending.by_day(organization.pk, days=30)
    assert sum(day.charge for day in days) == spans["1mo"] == 11_111
    usage.roll_up()
    assert ({span: spend(organization, span) for span in SPANS}, spending.by_day(organization.pk, days=30)) == (
        spans,
        days,
    )
    Generation.objects.filter(closed_at__lt=datetime.now(UTC) - timedelta(hours=2)).delete()
    assert ({span: spend(organization, span) for span in SPANS}, spending.by_day(organization.pk, days=30)) == (
        spans,
        days,
    )


def test_hours_that_an_older_release_summed_up_get_their_apps(alice: User) -> None:
    expected = spent_by_apps(alice.personal_organization)
    usage.roll_up()
    UsageApp.objects.all().delete()
    UsageMark.objects.update(apps_since=None)
    assert apps(alice.personal_organization) == expected
    usage.roll_up()
    assert apps(alice.personal_organization) == expected
    assert sum(UsageApp.objects.values_list("charge", flat=True)) == 36


def test_pages_agree_with_the_ledger_to_the_nano_dollar(alice: User, here: Client) -> None:
    organization = alice.personal_organization
    for charge in (1_000_000_001, 2, 30_000_000_003):
        generate(organization, charge)
    with connection.cursor() as cursor:
        cursor.execute("SELECT till_post()")
    usage.roll_up()
    entries = LedgerEntry.objects.filter(account=LedgerEntry.Account.WALLET, transaction__kind="usage")
    charged = -sum(entries.values_list("amount", flat=True))
    assert charged == Wallet.objects.get().spent == 31_000_000_006
    for path in ("/dashboard", "/activity", "/activity?span=1d&by=key", "/credits"):
        assert "$31.000000006" in text(here, path), path
    assert sum(float(row["spend (USD)"]) for row in table(here, "/activity.csv")) == pytest.approx(31.000000006)


def table(client: Client, path: str) -> list[dict[str, str]]:
    response = client.get(path)
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_csv_has_a_line_for_each_step_and_group(alice: User, here: Client, key: ApiKey) -> None:
    generate(alice.personal_organization, 18, api_key_id=key.pk, prompt_tokens=10, completion_tokens=4)
    [row] = table(here, "/activity.csv?span=1d&by=key")
    assert (row["key"], row["requests"], row["prompt tokens"], row["spend (USD)"]) == (
        "laptop",
        "1",
        "10",
        "0.000000018",
    )


def test_groups_are_named(alice: User, here: Client, key: ApiKey) -> None:
    generate(alice.personal_organization, 18, api_key_id=key.pk, app_title="Editor <b>")
    assert "laptop" in text(here, "/activity?span=1d&by=key")
    assert "alice@example.com" in text(here, "/activity?span=1d&by=member")
    shown = text(here, "/activity?span=1d&by=app")
    assert "Editor &lt;b&gt;" in shown
    assert "Editor <b>" not in shown


@pytest.mark.parametrize("query", ["span=9y&by=x&show=y", "by=app&span=1y", "span=", "by=%00"])
def test_what_is_not_known_is_as_if_it_were_not_said(here: Client, query: str) -> None:
    assert here.get(f"/activity?{query}").status_code == 200
    assert here.get(f"/activity.csv?{query}").status_code == 200


def test_outsiders_see_none_of_it(alice: User, key: ApiKey, client: Client) -> None:
    generate(alice.personal_organization, 18, api_key_id=key.pk)
    client.force_login(User.objects.create_user("charlie@example.com"))
    for path in ("/activity", "/activity?by=key", "/logs", f"/logs?key={key.hash}"):
        shown = text(client, path)
        assert "acme/one" not in shown
        assert "laptop" not in shown
    assert table(client, "/activity.csv") == []


def test_htmx_gets_the_chart_alone(here: Client) -> None:
    response = here.get("/activity", headers={"HX-Request": "true"})
    assert "<html" not in response.content.decode()
    assert "HX-Request" in response["Vary"]


def test_the_log_is_filtered(alice: User, here: Client, key: ApiKey) -> None:
    organization = alice.personal_organization
    generate(organization, 11, api_key_id=key.pk)
    row = generate(organization, 22, ago=timedelta(days=3))
    type(row).objects.filter(pk=row.pk).update(model="acme/two", outcome="error")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    expected = {
        "": (True, True),
        f"?key={key.hash}": (True, False),
        "?model=acme/two": (False, True),
        "?outcome=error": (False, True),
        "?outcome=ok&model=acme/one": (True, False),
        f"?key={'0' * 64}": (False, False),
        # Ids here are of today, whatever created_at says.
        f"?day={today}": (True, True),
        "?day=2020-01-01": (False, False),
    }
    for query, (first, second) in expected.items():
        shown = text(here, f"/logs{query}")
        assert ("$0.000000011" in shown, "$0.000000022" in shown) == (first, second), query


@pytest.mark.parametrize("more", ["", "&day={today}"])
def test_a_filter_looks_further_back_step_by_step(
    alice: User, here: Client, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However rare it is, each page reads a bounded number of requests, and none is left out or told twice."""
    monkeypatch.setattr(logs, "SEARCHED", 3)
    monkeypatch.setattr(logs, "PAGE", 2)
    made = sorted(generate(alice.personal_organization, 1).pk for _ in range(12))
    rare = [made[number] for number in (0, 1, 8, 9, 10)]
    Generation.objects.filter(pk__in=rare).update(model="rare")
    query = f"?model=rare{more.format(today=f'{datetime.now(UTC):%Y-%m-%d}')}"
    asked, seen, steps = query, [], 0
    while True:
        shown = here.get(f"/logs{asked}").context
        seen += [found["row"].id for found in shown["recent"]]
        before = shown["more"] or shown["further"]
        if before is None:
            break
        asked, steps = f"{query}&before={before}", steps + 1
    assert seen == rare[::-1]
    assert steps >= 3
    assert here.get("/logs").context["further"] is None


@pytest.mark.parametrize("query", ["day=nonsense", "day=0001-01-01", "before=x"])
def test_wrong_filters_are_404(here: Client, query: str) -> None:
    assert here.get(f"/logs?{query}").status_code == 404


def test_the_timeline_stays_within_its_line(alice: User) -> None:
    from gateway.pages.logs import TIMELINE, tries

    row = generate(alice.personal_organization, 1)
    for latencies in ((0, 0), (1, 10**6), (10**6, 1), (5,) * 300):
        row.attempts = [{"provider_name": "P", "latency": latency} for latency in latencies]
        assert all(0 <= one.x <= TIMELINE - one.width for one in tries(row))


def test_first_steps_end_with_the_first_request(alice: User, here: Client) -> None:
    shown = text(here, "/dashboard")
    assert "Make a key and fill it in" in shown
    assert "Waiting for your first request" in text(here, "/dashboard/first")
    generate(alice.personal_organization, 21)
    found = text(here, "/dashboard/first")
    assert "$0.000000021" in found
    assert "hx-trigger" not in found
    assert "Make a key" not in text(here, "/dashboard")


def test_a_quick_key_is_shown_once_and_works(alice: User, here: Client) -> None:
    response = here.post("/keys/quick", headers={"HX-Request": "true"})
    shown = response.content.decode()
    assert "<html" not in shown
    token = shown.split('id="quick-token">')[1].split("<")[0]
    assert keys.find(token) is not None
    assert "no-store" in response["Cache-Control"]
    assert "Your new key" in here.post("/keys/quick").content.decode()


def test_budgets_are_set_and_shown(alice: User, here: Client) -> None:
    organization = alice.personal_organization
    generate(organization, 2_000_000_000)
    here.post("/settings/budgets/set", {"limit": "4", "reset": "monthly"})
    organization.refresh_from_db()
    assert (organization.budget_nano, organization.budget_reset) == (4_000_000_000, "monthly")
    shown = text(here, "/settings/budgets")
    assert "$2.00 of $4.00" in shown
    assert "50 percent used" in shown
    here.post("/settings/budgets/set", {"limit": "", "reset": ""})
    organization.refresh_from_db()
    assert organization.budget_nano is None
    assert "budget_nano" in text(here, "/settings/audit")


@pytest.mark.parametrize("fields", [{"limit": "-1"}, {"limit": "x"}, {"limit": "1", "reset": "hourly"}])
def test_wrong_budgets_change_nothing(alice: User, here: Client, fields: dict[str, Any]) -> None:
    response = here.post("/settings/budgets/set", fields, follow=True)
    assert "at most 9 decimals" in response.content.decode()
    organization = Organization.objects.get(pk=alice.personal_organization.pk)
    assert organization.budget_nano is None


def test_a_budget_is_of_a_member_of_ones_own(alice: User, here: Client) -> None:
    charlie = User.objects.create_user("charlie@example.com")
    other = charlie.memberships.get()
    assert here.post("/settings/budgets/set", {"member": other.pk, "limit": "1"}).status_code == 404
    other.refresh_from_db()
    assert other.budget_nano is None
