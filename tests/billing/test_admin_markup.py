"""Markups and ways of billing in the admin."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Organization, User
from billing import ledger
from billing.models import Markup, Wallet

pytestmark = pytest.mark.thorough

ADD = "/admin/billing/markup/add/"


@pytest.fixture
def acme(db: None) -> Organization:
    organization = Organization.objects.create(name="Acme")
    ledger.grant(organization, amount=10 * 10**9, reason="welcome")
    return organization


def test_a_markup_is_added_changed_and_removed_with_events(root: Client, acme: Organization) -> None:
    root.post(ADD, {"organization": str(acme.pk), "model": "acme/one", "percent": "5.5"})
    found = Markup.objects.get()
    assert (found.organization, found.model, found.millionths) == (acme, "acme/one", 55_000)
    page = reverse("admin:billing_markup_change", args=[found.pk])
    assert 'value="5.5"' in root.get(page).content.decode()
    assert "acme/one for Acme" in root.get("/admin/billing/markup/").content.decode()
    root.post(page, {"organization": str(acme.pk), "model": "acme/one", "percent": "-100"})
    assert Markup.objects.get().millionths == -1_000_000
    root.post(reverse("admin:billing_markup_delete", args=[found.pk]), {"post": "yes"})
    assert not Markup.objects.exists()
    events = AuditEvent.objects.filter(organization=acme).order_by("id")
    assert [event.verb for event in events] == ["create", "update", "delete"]
    assert events[1].details["percent"] == ["5.5", "-100"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"percent": "-100.1"}, "greater than or equal to -100"),
        ({"percent": "1000.1"}, "less than or equal to 1000"),
        ({"percent": "1.00001"}, "no more than 4 decimal places"),
        ({"percent": "NaN"}, "Enter a number"),
        ({"percent": ""}, "required"),
        ({"model": "one"}, "author/slug"),
    ],
)
def test_what_makes_no_sense_is_refused(root: Client, db: None, fields: dict[str, str], reason: str) -> None:
    reply = root.post(ADD, {"organization": "", "model": "acme/one", "percent": "5", **fields})
    assert reason in reply.content.decode()
    assert not Markup.objects.exists()


def test_one_markup_for_one_scope(root: Client, db: None) -> None:
    root.post(ADD, {"organization": "", "model": "", "percent": "5"})
    reply = root.post(ADD, {"organization": "", "model": "", "percent": "5"})
    assert "already exists" in reply.content.decode()
    assert Markup.objects.count() == 1


def test_how_a_wallet_is_billed_can_be_changed_and_nothing_else(root: Client, acme: Organization) -> None:
    page = reverse("admin:billing_wallet_change", args=[acme.pk])
    root.post(page, {"billing": "unlimited", "credit": "0", "spent": "5"})
    wallet = Wallet.objects.get()
    assert (wallet.billing, wallet.credit, wallet.spent) == ("unlimited", 10 * 10**9, 0)
    event = AuditEvent.objects.get(target_type="billing.wallet")
    assert (event.target_id, event.organization, event.details["billing"]) == (
        str(acme.pk),
        acme,
        ["prepaid", "unlimited"],
    )
    assert root.post(page, {"billing": "free"}).status_code == 200
    assert Wallet.objects.get().billing == "unlimited"


def test_who_may_only_look_changes_nothing(client: Client, acme: Organization) -> None:
    user = User.objects.create_user("staff@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_wallet", "view_markup")))
    client.force_login(user)
    page = reverse("admin:billing_wallet_change", args=[acme.pk])
    assert client.post(page, {"billing": "unlimited"}).status_code == 403
    assert client.get(page).status_code == 200
    assert client.post(ADD, {"percent": "5"}).status_code == 403
    assert Wallet.objects.get().billing == "prepaid"
