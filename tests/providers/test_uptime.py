"""What gateways counted becomes uptime by minute, hour and day, and incidents; refused keys, and who is told."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from gateway import tasks
from gateway.routing import rollup
from gateway.routing.stats import STATS, encode, slot_of
from providers import loading, refusals, uptime
from providers.importer import import_catalogue
from providers.models import Credential, Endpoint, Incident, Model, Probe, Provider, Uptime
from providers.statistics import Tally
from tests.services import Servers

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

# A moment in the middle of a minute, an hour and a day; later than what the database takes for now.
NOW = (datetime.now(UTC) + timedelta(days=1)).replace(hour=10, minute=30, second=20, microsecond=0)
MINUTE = timedelta(minutes=1)
SECRET = "sk-refused-secret-key"


class Clock:
    """Moves what the task, and Django, take for now."""

    def __init__(self) -> None:
        self.now = NOW

    def minute(self, ago: int) -> datetime:
        """The begin of the last minute that is over, or of so many before."""
        over = (slot_of(self.now.timestamp()) - 1) * 30 // 60
        return datetime.fromtimestamp((over - 1 - ago) * 60, UTC)


@pytest.fixture
def clock(servers: Servers) -> Iterator[Clock]:
    found = Clock()
    with (
        mock.patch.object(timezone, "now", side_effect=lambda: found.now),
        mock.patch.object(tasks, "last_minutes", side_effect=lambda: rollup.last_minutes(found.now.timestamp())),
    ):
        yield found


@pytest.fixture(autouse=True)
def valkey(servers: Servers) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter("turnpike:stats:*"):
            client.delete(key)
        yield client
        for key in client.scan_iter("turnpike:stats:*"):
            client.delete(key)


def provider(slug: str = "acme", **fields: Any) -> Provider:
    row = Provider.objects.create(slug=slug, name=slug.title(), wire="openai", base_url="http://x/v1", **fields)
    credential = Credential(provider=row)
    credential.set_secret(SECRET)
    credential.save()
    return row


def endpoint(owner: Provider, **fields: Any) -> Endpoint:
    model, _ = Model.objects.get_or_create(slug="acme/one", defaults={"name": "One", "context_length": 1000})
    return Endpoint.objects.create(model=model, provider=owner, tag=owner.slug, upstream_model="one", **fields)


def counted(client: "redis.Redis", at: datetime, row: Endpoint, process: str = "a", **tally: Any) -> None:
    """As a gateway process tells it, in one of the slots of that minute."""
    slot = slot_of(at.timestamp())
    client.hset(STATS.format(slot), process, encode({row.pk: Tally(**tally)}))


def kept(row: Endpoint, span: str) -> list[tuple[datetime, int, int]]:
    rows = Uptime.objects.filter(endpoint=row, span=span).order_by("begins_at")
    return list(rows.values_list("begins_at", "successes", "faults"))


# Roll-up


def test_all_processes_of_all_slots_are_summed_up_once(clock: Clock, valkey: "redis.Redis") -> None:
    row = endpoint(provider())
    last, before = clock.minute(0), clock.minute(1)
    counted(valkey, last, row, "a", answered=5, errors={"timeout": 1})
    counted(valkey, last, row, "b", answered=3)
    counted(valkey, last + timedelta(seconds=30), row, "a", answered=2, broken=1, errors={"reset": 1})
    counted(valkey, before, row, answered=4)
    # Not over yet, and of nobody that is known.
    counted(valkey, clock.now, row, answered=100)
    counted(valkey, last, Endpoint(pk=uuid4()), "c", answered=100)
    for _ in range(2):
        tasks.uptime()
        assert kept(row, "minute") == [(before, 4, 0), (last, 9, 2)]
        assert kept(row, "hour") == [(NOW.replace(minute=0, second=0), 13, 2)]
        assert kept(row, "day") == [(NOW.replace(hour=0, minute=0, second=0), 13, 2)]
    # What comes late is in the next run.
    counted(valkey, before, row, "late", answered=6)
    tasks.uptime()
    assert kept(row, "minute")[0] == (before, 10, 0)
    assert kept(row, "day")[0][1:] == (19, 2)


def test_an_hour_goes_on_where_the_numbers_of_its_begin_are_gone(clock: Clock, valkey: "redis.Redis") -> None:
    row = endpoint(provider())
    counted(valkey, clock.minute(0), row, answered=4)
    tasks.uptime()
    valkey.flushdb()
    clock.now += timedelta(minutes=20)
    counted(valkey, clock.minute(0), row, answered=3, errors={"timeout": 2})
    tasks.uptime()
    assert kept(row, "hour") == [(NOW.replace(minute=0, second=0), 7, 2)]
    clock.now += timedelta(hours=1)
    counted(valkey, clock.minute(0), row, answered=1)
    tasks.uptime()
    assert [count for _, *count in kept(row, "hour")] == [[7, 2], [1, 0]]
    assert [count for _, *count in kept(row, "day")] == [[8, 2]]


def test_rate_limits_and_faults_of_requests_are_no_downtime(clock: Clock, valkey: "redis.Redis") -> None:
    row = endpoint(provider())
    errors = {"rate_limited": 50, "invalid_request": 9, "context_length": 9, "busy": 7, "unreachable": 1}
    counted(valkey, clock.minute(0), row, answered=5, errors=errors)
    tasks.uptime()
    assert [count for _, *count in kept(row, "minute")] == [[5, 1]]


def test_a_minute_without_requests_counts_by_the_probe(clock: Clock, valkey: "redis.Redis") -> None:
    owner = provider()
    row, off = endpoint(owner), endpoint(provider("off", is_enabled=False))
    for ago, is_up in ((1, True), (2, False)):
        minute = clock.minute(ago)
        Probe.objects.create(provider=owner, minute=minute, checked_at=minute, is_up=is_up, latency_ms=1)
    counted(valkey, clock.minute(0), row, answered=7)
    tasks.uptime()
    assert [count for _, *count in kept(row, "minute")] == [[0, 1], [1, 0], [7, 0]]
    assert kept(off, "minute") == []


def test_what_is_old_is_deleted_by_its_span(clock: Clock) -> None:
    row = endpoint(provider())
    for span, ago in (
        ("minute", 2),
        ("minute", 4),
        ("hour", 24 * 7),
        ("hour", 24 * 9),
        ("day", 24 * 390),
        ("day", 24 * 401),
    ):
        Uptime.objects.create(endpoint=row, span=span, begins_at=NOW - timedelta(hours=ago), successes=1)
    uptime.prune()
    assert {span: len(kept(row, span)) for span in ("minute", "hour", "day")} == {"minute": 1, "hour": 1, "day": 1}


# Incidents


def test_an_endpoint_that_fails_has_an_incident_until_it_is_well(clock: Clock, valkey: "redis.Redis") -> None:
    row = endpoint(provider())
    counted(valkey, clock.minute(0), row, answered=6, errors={"timeout": 3, "reset": 1, "rate_limited": 9})
    for _ in range(2):
        tasks.uptime()
        incident = Incident.objects.get()
        assert (incident.provider, incident.endpoint, incident.closed_at) == (row.provider, row, None)
        assert incident.cause == "4 of 10 requests failed: timeout"
    # Better, but not well.
    clock.now += 3 * MINUTE
    counted(valkey, clock.minute(0), row, answered=90, errors={"timeout": 10})
    tasks.uptime()
    assert Incident.objects.open().count() == 1
    clock.now += 3 * MINUTE
    counted(valkey, clock.minute(0), row, answered=99, errors={"timeout": 1})
    tasks.uptime()
    assert Incident.objects.get().closed_at == clock.now
    # The next is another.
    clock.now += 3 * MINUTE
    counted(valkey, clock.minute(0), row, errors={"unreachable": 3})
    tasks.uptime()
    assert [incident.cause for incident in Incident.objects.open()] == ["3 of 3 requests failed: unreachable"]
    assert Incident.objects.count() == 2


@pytest.mark.parametrize(
    "tally", [{"errors": {"timeout": 2}}, {"answered": 20, "errors": {"timeout": 4}}, {"errors": {"rate_limited": 50}}]
)
def test_a_few_failures_are_no_incident(clock: Clock, valkey: "redis.Redis", tally: dict[str, Any]) -> None:
    counted(valkey, clock.minute(0), endpoint(provider()), **tally)
    tasks.uptime()
    assert not Incident.objects.exists()


def test_an_incident_of_one_that_nobody_asks_any_more_ends_after_ten_minutes(
    clock: Clock, valkey: "redis.Redis"
) -> None:
    row = endpoint(provider())
    counted(valkey, clock.minute(0), row, errors={"timeout": 5})
    tasks.uptime()
    clock.now += 7 * MINUTE
    tasks.uptime()
    assert Incident.objects.open().exists()
    clock.now += 5 * MINUTE
    tasks.uptime()
    assert not Incident.objects.open().exists()


def probed(owner: Provider, clock: Clock, *, is_up: bool, **more: Any) -> None:
    Probe.objects.create(
        provider=owner, minute=clock.now.replace(second=0), checked_at=clock.now, is_up=is_up, latency_ms=1, **more
    )


def test_two_probes_in_a_row_that_fail_are_an_incident_of_the_provider(clock: Clock) -> None:
    owner = provider()
    probed(owner, clock, is_up=False, error="ConnectError")
    tasks.uptime()
    assert not Incident.objects.exists()
    clock.now += MINUTE
    probed(owner, clock, is_up=False, status=503)
    tasks.uptime()
    incident = Incident.objects.get()
    assert (incident.endpoint, incident.cause) == (None, "not reachable: status 503")
    clock.now += MINUTE
    probed(owner, clock, is_up=True, status=200)
    tasks.uptime()
    assert not Incident.objects.open().exists()


def test_many_providers_take_as_many_queries(clock: Clock, django_assert_num_queries: Any) -> None:
    for number in range(3):
        probed(provider(f"acme-{number}"), clock, is_up=True)
    # Keys to forgive, providers, probes and endpoints; the transaction and the open incidents.
    with django_assert_num_queries(7):
        uptime.judge({})


def test_the_status_page_shows_what_is_and_what_was(clock: Clock, valkey: "redis.Redis", client: Client) -> None:
    import_catalogue(CATALOGUE, source="test")
    owner = Provider.objects.get(slug="acme")
    row = Endpoint.objects.get(provider=owner)
    assert "No incident at the moment" in client.get("/status").content.decode()
    counted(valkey, clock.minute(0), row, answered=6, errors={"timeout": 4})
    tasks.uptime()
    found = client.get("/status").content.decode()
    assert "1 of 2 providers has an incident" in found
    assert "4 of 10 requests failed: timeout" in found
    assert "Degraded" in found
    assert "60.00 % in 24 hours" in found
    for path in ("/status", "/providers", "/providers/acme"):
        assert client.get(path).status_code == 200
    assert "4 of 10 requests failed: timeout" in client.get("/providers/acme").content.decode()
    clock.now += 3 * MINUTE
    counted(valkey, clock.minute(0), row, answered=90)
    tasks.uptime()
    found = client.get("/status").content.decode()
    assert "No incident at the moment" in found
    assert "4 of 10 requests failed: timeout" in found
    # Out of service: it answers nothing here, and is shown all the same.
    refuse(owner)
    tasks.uptime()
    found = client.get("/status").content.decode()
    assert "1 of 2 providers has an incident" in found
    assert "out of service: its API key is refused" in found


CATALOGUE = f"""
providers:
  - {{slug: acme, name: Acme, wire: openai, base_url: "http://127.0.0.1:9/v1", api_key: {SECRET}}}
  - {{slug: other, name: Other, wire: openai, base_url: "http://127.0.0.1:9/v1", api_key: sk-other-secret-key}}
models:
  - slug: acme/one
    name: One
    context_length: 8192
    input_modalities: [text]
    output_modalities: [text]
    endpoints:
      - {{provider: acme, upstream_model: one, prices: {{prompt: "0.000001", completion: "0.000002"}}}}
      - {{provider: other, upstream_model: one, prices: {{prompt: "0.000001", completion: "0.000002"}}}}
"""


# Keys that are refused


def refuse(row: Provider) -> bool:
    return refusals.switch_off(loading.provider(row, {}))


def test_the_operator_is_told_once_by_mail(settings: Any) -> None:
    row = provider()
    settings.OPERATORS = ["ops@example.com", "night@example.com"]
    settings.PUBLIC_URL = "https://gate.example"
    assert refuse(row)
    assert not refuse(row)
    [message] = mail.outbox
    assert message.to == ["ops@example.com", "night@example.com"]
    assert message.subject == "Acme refuses its API key"
    assert f"https://gate.example/admin/providers/provider/{row.pk}/change/" in message.body
    assert SECRET not in str(message.message())


def test_without_operators_superusers_are_told(settings: Any) -> None:
    settings.OPERATORS = []
    people = get_user_model().objects
    people.create_superuser(email="root@example.com")
    people.create_superuser(email="left@example.com", is_active=False)
    people.create_user(email="alice@example.com")
    refuse(provider())
    assert [message.to for message in mail.outbox] == [["root@example.com"]]


def test_it_is_off_even_when_nobody_can_be_told(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.OPERATORS = ["ops@example.com"]
    row = provider()
    with mock.patch.object(refusals, "send_mail", side_effect=ConnectionRefusedError("no mail")):
        assert refuse(row)
    row.refresh_from_db()
    assert row.refused_at is not None
    assert not loading.provider(row, {}).is_on
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors[-1] == "the operator could not be told by mail: no mail"


def test_a_server_without_a_key_refuses_none(settings: Any) -> None:
    settings.OPERATORS = ["ops@example.com"]
    row = Provider.objects.create(slug="open", name="Open", wire="openai", base_url="http://x/v1")
    assert not refuse(row)
    assert mail.outbox == []


def put_in_by_import(row: Provider) -> None:
    import_catalogue(CATALOGUE.replace(SECRET, "sk-another-secret-key"), source="test")


def put_in_by_admin(row: Provider) -> None:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser(email="root@example.com"))
    page = reverse("admin:providers_credential_change", args=[row.credential.pk])
    assert client.post(page, {"secret": "sk-another-secret-key"}).status_code == 302


def put_in_by_variable(row: Provider) -> None:
    Provider.objects.filter(pk=row.pk).update(api_key_env="ACME_KEY")
    with mock.patch.dict("os.environ", {"ACME_KEY": "sk-another-secret-key"}):
        tasks.uptime()


@pytest.mark.parametrize("put_in", [put_in_by_import, put_in_by_admin, put_in_by_variable])
def test_another_key_ends_it_and_its_incident(clock: Clock, put_in: Any) -> None:
    row = provider()
    refuse(row)
    tasks.uptime()
    assert Incident.objects.open().get().cause == "out of service: its API key is refused"
    tasks.uptime()
    assert Incident.objects.open().count() == 1
    put_in(row)
    tasks.uptime()
    row.refresh_from_db()
    assert (row.refused_mark, row.refused_at) == ("", None)
    assert not Incident.objects.open().exists()
