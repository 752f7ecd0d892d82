"""A model's page over time: tokens by day, and how fast each endpoint was by hour."""

import re
from datetime import date, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import UsageDay
from gateway.pages import speed
from providers import uptime
from providers.importer import import_catalogue
from providers.models import Endpoint, Uptime
from providers.statistics import Tally, note
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def endpoints(db: None) -> dict[str, Endpoint]:
    """Of the model with three, by tag."""
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")
    return {endpoint.tag: endpoint for endpoint in Endpoint.objects.filter(model__slug="acme/three")}


def minute(ago: timedelta = timedelta()) -> datetime:
    # Of the hour before, so that its last minute is in the same hour.
    return timezone.now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=1) - ago


def seen(latencies: list[int], speeds: list[int]) -> Tally:
    tally = Tally(answered=len(latencies))
    for value in latencies:
        note(tally.latency, value)
    for value in speeds:
        note(tally.throughput, value)
    return tally


def page(client: Client, slug: str = "acme/three") -> str:
    return client.get(f"/models/{slug}").content.decode()


def test_nothing_is_drawn_where_nothing_is_known(client: Client) -> None:
    text = page(client)
    assert text.count("Not known yet") == 2
    assert "Nobody has asked it in the last 30 days." in text


def test_hours_sum_up_what_minutes_counted(endpoints: dict[str, Endpoint]) -> None:
    primary, at = endpoints["primary"].pk, minute()
    minutes = {
        at: {primary: seen([100, 300], [50])},
        at + timedelta(minutes=1): {primary: seen([200], [70, 30])},
    }
    for _ in range(2):
        uptime.record(minutes)
    for span in (Uptime.Span.HOUR, Uptime.Span.DAY):
        row = Uptime.objects.get(endpoint=primary, span=span)
        assert (row.successes, row.latency_count, row.throughput_count) == (3, 3, 3)
        assert row.latency_ms_sum == pytest.approx(600, rel=0.05)
        assert row.throughput_sum == pytest.approx(150, rel=0.05)


def test_a_probe_says_nothing_of_speed(endpoints: dict[str, Endpoint]) -> None:
    uptime.record({minute(): {endpoints["primary"].pk: Tally(errors={"timeout": 3})}})
    row = Uptime.objects.get(span=Uptime.Span.HOUR)
    assert (row.latency_count, row.throughput_count) == (0, 0)


def test_the_page_draws_each_endpoint(client: Client, endpoints: dict[str, Endpoint]) -> None:
    uptime.record({minute(): {endpoints["primary"].pk: seen([100], [50]), endpoints["tertiary"].pk: seen([400], [20])}})
    text = page(client)
    assert "Not known yet" not in text
    # One line for each of the two, in each chart, and a legend of all three.
    assert len(re.findall(r'<path class="line-\d"', text)) == 4
    legend = re.findall(r'truncate">(\w+)</span><span[^>]*>([^<]+)<', text)
    assert [tag for tag, _ in legend[:3]] == ["primary", "secondary", "tertiary"]
    means = dict(legend[:3])
    assert means["secondary"] == "–"
    assert int(means["tertiary"].split()[0]) == pytest.approx(400, rel=0.05)
    assert "Not known yet" in page(client, "acme/one")


def test_lines_are_broken_where_nothing_is_known() -> None:
    path = speed.path_of([10.0, 5.0, None, 10.0], 10.0)
    assert path == "M0 0.0h3L4 50.0h3M12 0.0h3"
    assert speed.path_of([], 1) == ""


def test_what_is_older_than_a_week_is_not_drawn(client: Client, endpoints: dict[str, Endpoint]) -> None:
    uptime.record({minute(timedelta(days=7)): {endpoints["primary"].pk: seen([100], [50])}})
    assert page(client).count("Not known yet") == 2


def test_tokens_of_everybody_by_day(client: Client) -> None:
    today = timezone.now().date()
    rows = [
        ("acme/three", 0, 10),
        ("acme/three", 0, 20),
        ("acme/three", 29, 5),
        ("acme/three", 30, 1000),
        ("acme/one", 0, 7),
    ]
    for model, ago, tokens in rows:
        spend(model, today - timedelta(days=ago), tokens)
    found = speed.bars("acme/three")
    assert [(bar.day, bar.tokens) for bar in found if bar.tokens] == [(today - timedelta(days=29), 10), (today, 60)]
    assert (found[-1].y, found[-1].height) == ("0.00", "100.00")
    assert f"{today:%-d %b}: 60" in page(client)


def spend(model: str, day: date, tokens: int) -> None:
    """So many of the prompt and of the answer, by an organization of their own."""
    organization = User.objects.create_user(f"{User.objects.count()}@example.com").personal_organization
    zero = dict.fromkeys(("errors", "reasoning_tokens", "cached_tokens", "charge", "list_charge", "cost"), 0)
    UsageDay.objects.create(
        organization_id=organization.pk, model=model, provider="primary", provider_name="Primary", day=day,
        requests=1, prompt_tokens=tokens, completion_tokens=tokens, **zero,
    )  # fmt: skip
