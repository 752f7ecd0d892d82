"""Every list of the admin asks as many queries for 30 rows as for 3; a new list fails until it is filled here."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from accounts import audit, keys, organizations
from accounts.ids import uuid7
from accounts.models import Organization, RoutingPolicy, User
from billing import ledger
from billing.models import Generation, Hold, Markup, UsageDay
from billing.payments.models import BillingProfile, Dispute, PromoCode, Refund, StripeEvent, TopUp
from billing.usage import SUMS
from providers.importer import import_catalogue
from providers.models import Refresh
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def people(number: int) -> None:
    user = User.objects.create_user(f"user{number}@example.com")
    organization = organizations.found(f"Organization {number}", user)
    Group.objects.create(name=f"group {number}")
    EmailAddress.objects.create(user=user, email=user.email)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    UserSession.objects.create(user=user, ip="192.0.2.1", session_key=str(number), user_agent="x")
    audit.record(None, audit.Verb.CREATE, organization, organization_id=organization.pk)
    money(number, user, organization)
    payments(number, user, organization)


def money(number: int, user: User, organization: Organization) -> None:
    key, _ = keys.issue(organization, name="laptop", created_by=user)
    ledger.grant(organization, amount=100, reason="test", created_by=user)
    own = {"organization_id": organization.pk, "api_key_id": key.pk, "model": "acme/one", "provider": "primary"}
    moment = datetime.now(UTC)
    generation = Generation.objects.create(id=uuid7(), outcome="ok", created_at=moment, closed_at=moment, **own)
    hold: dict[str, Any] = {"wallet_amount": 1, "list_amount": 1, "due_tick": 1, "budgets": [], "record": {}}
    Hold.objects.create(generation=generation.pk, organization=organization, **hold)
    Markup.objects.create(organization=organization, model="acme/one", millionths=number)
    RoutingPolicy.objects.create(organization=organization)
    sums = dict.fromkeys(("requests", "errors", *SUMS), 1)
    UsageDay.objects.create(day=moment.date(), provider_name="Primary", **own, **sums)


def payments(number: int, user: User, organization: Organization) -> None:
    top_up = TopUp.objects.create(organization=organization, created_by=user, source="checkout", credit_cents=1000)
    Refund.objects.create(top_up=top_up, created_by=user, credit_cents=100, reason="test")
    Dispute.objects.create(top_up=top_up, stripe_dispute=str(number), credit_cents=100)
    StripeEvent.objects.create(id=str(number), type="test", payload="{}")
    BillingProfile.objects.create(organization=organization)
    PromoCode.objects.create(code=f"CODE-{number}", amount_nano=1, created_by=user)


def schedules(number: int) -> None:
    interval = IntervalSchedule.objects.create(every=number + 1, period="days")
    CrontabSchedule.objects.create(minute=str(number % 60))
    ClockedSchedule.objects.create(clocked_time=NOW + timedelta(days=number))
    SolarSchedule.objects.create(event="sunrise", latitude=number, longitude=number)
    PeriodicTask.objects.create(name=f"task {number}", task="x", interval=interval)


def things(number: int) -> None:
    text = catalogue("http://127.0.0.1:9/v1")
    for name in ("acme/", "primary", "secondary", "tertiary"):
        text = text.replace(name, f"{name.rstrip('/')}{number}{'/' if name.endswith('/') else ''}")
    import_catalogue(text, source="test")
    Refresh.objects.create(source=f"catalogue-{number}.yaml", text=text, summary={"model": 1})


def fill(numbers: range) -> None:
    for number in numbers:
        people(number)
        schedules(number)
        things(number)


def counts(root: Client) -> Iterator[tuple[str, int, int]]:
    """Of each list: its name, rows in its table, queries."""
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        root.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert root.get(path).status_code == 200, path
        yield model._meta.label, model._default_manager.count(), len(queries)


def test_no_list_asks_for_each_row(root: Client) -> None:
    fill(range(3))
    few = {name: (rows, queries) for name, rows, queries in counts(root)}
    fill(range(3, 30))
    many = {name: (rows, queries) for name, rows, queries in counts(root)}
    assert [name for name, (rows, _) in many.items() if rows < 30] == []
    assert {name: (few[name], found) for name, found in many.items() if found[1] > few[name][1]} == {}
