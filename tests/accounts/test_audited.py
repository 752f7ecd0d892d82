"""Catalogue and schedules in the admin: each change leaves an event that says before and after, and no secret."""

from typing import Any

import pytest
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from accounts.models import AuditEvent
from providers.importer import import_catalogue
from providers.models import Credential, Model, Price, Provider
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

SECRET = "sk-not-to-be-kept-0000"


@pytest.fixture
def imported() -> None:
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test.yaml")


def events(**about: Any) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(**about).order_by("id"))


def test_an_import_says_how_much_it_changed(imported: None) -> None:
    [event] = events(verb="import")
    assert (event.target_type, event.target_id, event.actor) == ("providers.catalogue", "test.yaml", None)
    assert event.details["model"] == Model.objects.count()
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test.yaml")
    assert len(events(verb="import")) == 1


def test_a_provider_tells_before_and_after(root: Client, imported: None) -> None:
    provider = Provider.objects.get(slug="primary")
    form = {
        "slug": "primary",
        "name": "First",
        "wire": "openai",
        "base_url": provider.base_url,
        "quirks": "{}",
        "trains_on_data": "unknown",
        "weight": "100",
        "is_enabled": "on",
        "passthrough": "on",
        "credential-TOTAL_FORMS": "1",
        "credential-INITIAL_FORMS": "1",
        "credential-0-secret": SECRET,
        "credential-0-id": str(provider.credential.pk),
        "credential-0-provider": str(provider.pk),
    }
    assert root.post(f"/admin/providers/provider/{provider.pk}/change/", form).status_code == 302
    [event] = events(target_type="providers.provider")
    assert (event.verb, event.target_id, str(event.actor)) == ("update", str(provider.pk), "root@example.com")
    assert event.details["name"] == ["Primary", "First"]
    assert SECRET not in str(event.details)


def test_a_replaced_key_is_told_without_it(root: Client, imported: None) -> None:
    credential = Credential.objects.get(provider__slug="primary")
    root.post(f"/admin/providers/credential/{credential.pk}/change/", {"secret": SECRET})
    [event] = events(target_type="providers.credential")
    assert event.details["secret"] == "(not kept)"
    assert SECRET not in str(event.details)


def test_a_new_price_is_told(root: Client, imported: None) -> None:
    price = Price.objects.filter(endpoint__tag="primary").first()
    assert price
    form = {"prompt": "0.000007", "completion": "0.000002", "source": "their letter", "as_of": "2026-11-22"}
    root.post(f"/admin/providers/price/{price.pk}/change/", form)
    [event] = events(target_type="providers.price")
    assert event.details["prompt"][1] == 7_000_000


def test_what_is_saved_unchanged_leaves_none(root: Client, imported: None) -> None:
    credential = Credential.objects.get(provider__slug="primary")
    root.post(f"/admin/providers/credential/{credential.pk}/change/", {"secret": ""})
    assert not events(target_type="providers.credential")


def test_deleted_rows_are_named(root: Client) -> None:
    interval = IntervalSchedule.objects.create(every=9, period="days")
    form = {"action": "delete_selected", "_selected_action": [interval.pk], "post": "yes"}
    assert root.post("/admin/django_celery_beat/intervalschedule/", form).status_code == 302
    [event] = events()
    assert (event.verb, event.target_id, event.details) == ("delete", str(interval.pk), {"name": str(interval)})


def test_schedules_switched_off_in_bulk_are_named(root: Client) -> None:
    interval = IntervalSchedule.objects.create(every=7, period="seconds")
    rows = [PeriodicTask.objects.create(name=name, task="x", interval=interval) for name in ("one", "two", "three")]
    form = {"action": "disable_tasks", "_selected_action": [rows[0].pk, rows[1].pk]}
    assert root.post("/admin/django_celery_beat/periodictask/", form).status_code == 302
    assert [(event.target_id, event.details["action"]) for event in events()] == [
        (str(row.pk), "disable_tasks") for row in rows[:2]
    ]


def test_a_changed_interval_is_told(root: Client) -> None:
    interval = IntervalSchedule.objects.create(every=7, period="seconds")
    rows = "periodictask_set"
    form = {"every": "9", "period": "seconds", f"{rows}-TOTAL_FORMS": "0", f"{rows}-INITIAL_FORMS": "0"}
    root.post(f"/admin/django_celery_beat/intervalschedule/{interval.pk}/change/", form)
    [event] = events()
    assert event.details["every"] == [7, 9]
