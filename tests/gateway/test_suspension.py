"""A suspended organization: what it has can be read, nothing of it can be used or changed."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import codes, keys, organizations
from accounts.models import ApiKey, AuditEvent, AuthorizationCode, Membership, Organization, User
from billing.payments import automatic
from billing.payments.models import BillingProfile
from tests.gateway.test_every_url import FORMS, PAGES, POST_ONLY

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

WHY = "Unpaid invoices."


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def acme(alice: User) -> Organization:
    found = organizations.found("Acme", alice)
    assert organizations.suspend(found, WHY)
    return found


@pytest.fixture
def browser(client: Client, alice: User, acme: Organization) -> Client:
    client.force_login(alice)
    client.post("/organization", {"organization": str(acme.pk)})
    return client


def path(name: str, acme: Organization, key: ApiKey) -> str:
    arguments: dict[str, dict[str, Any]] = {
        **{name: {"hash": key.hash} for name in ("page-key", "page-key-delete", "page-key-routing")},
        **{name: {"pk": Membership.objects.latest("pk").pk} for name in ("page-member", "page-member-remove")},
        "page-invitation-withdraw": {"pk": 1},
    }
    return reverse(name, kwargs=arguments.get(name))


def test_every_form_of_it_is_refused(browser: Client, acme: Organization, alice: User) -> None:
    key, _ = keys.issue(acme, name="laptop", created_by=alice)
    others = {name for name, statuses in PAGES.items() if statuses == POST_ONLY} - {"choose-organization", "end-look"}
    for name in sorted({*FORMS, *others}):
        response = browser.post(path(name, acme, key), {"name": "x", "role": "viewer", "code": "X"})
        assert response.status_code == 403, name
        assert WHY in response.content.decode(), name
    key.refresh_from_db()
    assert (key.deleted_at, ApiKey.objects.count(), Membership.objects.count()) == (None, 1, 2)


def test_its_pages_are_read_and_say_so(browser: Client) -> None:
    for name in ("dashboard", "page-logs", "page-keys", "page-credits", "page-members", "page-transactions-csv"):
        response = browser.get(reverse(name))
        assert response.status_code == 200, name
        if not name.endswith("csv"):
            assert "This organization is suspended" in response.content.decode(), name


def test_other_organizations_of_its_members_go_on(browser: Client, alice: User) -> None:
    browser.post("/organization", {"organization": str(alice.personal_organization.pk)})
    assert "suspended" not in browser.get("/keys").content.decode()
    assert browser.post("/keys/new", {"name": "laptop"}).status_code == 200
    assert ApiKey.objects.get().organization == alice.personal_organization


def test_the_api_reads_and_does_not_write(client: Client, acme: Organization, alice: User) -> None:
    key, token = keys.issue(acme, name="laptop", created_by=alice)
    _, management = keys.issue(acme, name="manager", created_by=alice, is_management=True)
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {management}"}
    for name in ("/api/v1/keys", "/api/v1/credits", f"/api/v1/keys/{key.hash}"):
        assert client.get(name, **bearer).status_code == 200, name  # type: ignore[arg-type]
    refused = [
        client.post("/api/v1/keys", {"name": "x"}, "application/json", **bearer),  # type: ignore[arg-type]
        client.patch(f"/api/v1/keys/{key.hash}", {"name": "x"}, "application/json", **bearer),  # type: ignore[arg-type]
        client.delete(f"/api/v1/keys/{key.hash}", **bearer),  # type: ignore[arg-type]
        client.post("/api/v1/auth/keys/code", {}, "application/json", HTTP_AUTHORIZATION=f"Bearer {token}"),
    ]
    for response in refused:
        error = json.loads(response.content)["error"]
        assert (response.status_code, error["code"], error["metadata"]["error_type"]) == (403, 403, "permission_denied")
        assert WHY in error["message"]
    key.refresh_from_db()
    assert (key.name, key.deleted_at, ApiKey.objects.count()) == ("laptop", None, 2)


def test_a_code_of_before_makes_no_key(client: Client, acme: Organization, alice: User) -> None:
    row, code = codes.issue(acme, alice, key_name="app", callback_url="http://localhost/x")
    response = client.post("/api/v1/auth/keys", {"code": code}, "application/json")
    assert (response.status_code, WHY in response.content.decode()) == (403, True)
    assert not ApiKey.objects.exists()
    # The code is not used up.
    assert AuthorizationCode.objects.filter(pk=row.pk, expires_at__gt=timezone.now() - timedelta(1)).exists()


def test_nobody_joins_it(client: Client, acme: Organization, alice: User) -> None:
    bob = User.objects.create_user("bob@example.com")
    invited = organizations.invite(acme, email=bob.email, role=Membership.Role.VIEWER, invited_by=alice)
    with pytest.raises(organizations.MembershipError, match="suspended"):
        organizations.accept(invited, bob)
    assert Membership.objects.filter(organization=acme).count() == 1


def test_its_card_is_not_charged(acme: Organization) -> None:
    BillingProfile.objects.create(
        organization=acme, is_automatic=True, payment_method="pm_1", threshold_cents=1000, amount_cents=1000
    )
    assert not automatic.due().exists()
    organizations.resume(acme)
    assert automatic.due().exists()


def test_an_operator_suspends_with_a_reason_and_ends_it(client: Client, alice: User) -> None:
    client.force_login(User.objects.create_superuser("root@example.com"))
    personal = alice.personal_organization
    page = f"/admin/accounts/organization/{personal.pk}/"
    assert b"This field is required" in client.post(page + "suspend/", {"reason": ""}).content
    assert not Organization.objects.get(pk=personal.pk).is_suspended
    for _ in range(2):
        client.post(page + "suspend/", {"reason": WHY})
    assert b"End the suspension" in client.get(page + "change/").content
    assert Organization.objects.get(pk=personal.pk).suspension == WHY
    listed = client.get("/admin/accounts/organization/?suspended_at__isempty=0")
    assert [row.pk for row in listed.context["cl"].result_list] == [personal.pk]
    for _ in range(2):
        client.post(page + "resume/", {"reason": "Paid."})
    assert not Organization.objects.get(pk=personal.pk).is_suspended
    events = AuditEvent.objects.filter(organization=personal).order_by("id")
    assert [(event.verb, event.details["reason"]) for event in events] == [("suspend", WHY), ("resume", "Paid.")]


def test_staff_without_the_right_suspend_nothing(client: Client, alice: User) -> None:
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))
    for name in ("suspend", "resume", "look"):
        page = f"/admin/accounts/organization/{alice.personal_organization.pk}/{name}/"
        assert {client.get(page).status_code, client.post(page, {"reason": "x"}).status_code} == {403}
