"""Audit events: who, what, when, from where; in the transaction of what they tell of; final."""

from typing import Any

import pytest
from django import forms
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, transaction
from django.test import RequestFactory

from accounts import audit
from accounts.models import AuditEvent, Organization, User

pytestmark = pytest.mark.django_db

STATEMENTS = ("UPDATE {} SET verb = 'create'", "DELETE FROM {}", "TRUNCATE {}")


@pytest.fixture
def organization() -> Organization:
    return Organization.objects.create(name="Acme")


def test_an_event_says_who_did_what_from_where(organization: Organization) -> None:
    user = User.objects.create_user("alice@example.com")
    request = RequestFactory(REMOTE_ADDR="2001:db8::7").post("/")
    request.user = user

    details = {"name": ["Acme", "Acne"]}
    audit.record(request, audit.Verb.UPDATE, organization, organization_id=organization.pk, details=details)

    event = AuditEvent.objects.get()
    assert (event.actor, event.organization, event.verb) == (user, organization, "update")
    assert (event.target_type, event.target_id) == ("accounts.organization", str(organization.pk))
    assert (event.address, event.details) == ("2001:db8::7", details)


def test_without_a_request_it_was_the_system(organization: Organization) -> None:
    event = audit.record(None, audit.Verb.CREATE, organization)
    assert (event.actor, event.address) == (None, None)


@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_nobody_logged_in_and_a_unix_socket_are_fine(organization: Organization, address: str) -> None:
    request = RequestFactory(REMOTE_ADDR=address).post("/")
    request.user = AnonymousUser()
    event = audit.record(request, audit.Verb.CREATE, organization)
    event.refresh_from_db()
    assert (event.actor, event.address) == (None, address or None)


@pytest.mark.parametrize(
    ("said", "address"),
    [("2001:db8::9", "2001:db8::9"), (" 192.0.2.4 ", "192.0.2.4"), ("fe80::1%eth0", "fe80::1"), ("nonsense", None)],
)
def test_behind_a_proxy_the_address_is_what_its_header_says(
    organization: Organization, settings: Any, said: str, address: str | None
) -> None:
    settings.ALLAUTH_TRUSTED_CLIENT_IP_HEADER = "X-Real-IP"
    request = RequestFactory(REMOTE_ADDR="127.0.0.1").post("/", headers={"X-Real-IP": said})
    request.user = AnonymousUser()
    event = audit.record(request, audit.Verb.CREATE, organization)
    event.refresh_from_db()
    assert event.address == address


def test_without_a_proxy_headers_say_nothing(organization: Organization) -> None:
    request = RequestFactory(REMOTE_ADDR="192.0.2.1").post(
        "/", headers={"X-Real-IP": "192.0.2.9", "X-Forwarded-For": "192.0.2.9"}
    )
    request.user = AnonymousUser()
    assert audit.record(request, audit.Verb.CREATE, organization).address == "192.0.2.1"


@pytest.mark.parametrize("statement", STATEMENTS)
def test_events_are_never_changed_or_deleted(organization: Organization, statement: str) -> None:
    audit.record(None, audit.Verb.DISABLE, organization)
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format("accounts_auditevent"))
    assert AuditEvent.objects.get().verb == "disable"


def test_an_event_outlives_its_organization_and_actor(organization: Organization) -> None:
    audit.record(None, audit.Verb.DELETE, organization, organization_id=organization.pk)
    organization.delete()
    assert AuditEvent.objects.select_related("organization").get().target_type == "accounts.organization"


def test_changes_are_before_and_after() -> None:
    class Form(forms.Form):
        name = forms.CharField()
        limit = forms.IntegerField(required=False)
        active = forms.BooleanField(required=False)

    form = Form({"name": "new", "limit": "", "active": "on"}, initial={"name": "old", "limit": 5, "active": True})
    assert form.is_valid()
    assert audit.changes(form) == {"name": ["old", "new"], "limit": [5, None]}
