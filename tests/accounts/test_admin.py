"""The admin's pages about people: users and audit events."""

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import audit
from accounts.models import AuditEvent, Organization, User
from accounts.paging import VALUES

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

PASSWORD = "correct horse battery"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice@example.com", name="Alice")


def staff(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("staff@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def url(name: str, page: str, *args: object) -> str:
    return reverse(f"admin:accounts_{name}_{page}", args=args)


def user_form(user: User, **changes: str) -> dict[str, str]:
    """What the browser sends from a user's page."""
    inline = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    return {"email": user.email, "name": user.name, "is_active": "on", **inline, **changes}


def text(client: Client, page: str) -> str:
    reply = client.get(page)
    assert reply.status_code == 200, page
    return reply.content.decode()


# Users


def test_user_pages_open(root: Client, alice: User) -> None:
    alice.set_password(PASSWORD)
    alice.save()
    assert "1 user" in text(root, url("user", "changelist") + "?q=alice")
    assert "1 user" in text(root, url("user", "changelist") + f"?q={alice.pk}")
    assert "2 users" in text(root, url("user", "changelist") + "?is_active__exact=1")
    page = text(root, url("user", "change", alice.pk))
    assert alice.personal_organization.name in page
    assert alice.password not in page
    text(root, url("user", "add"))


def test_user_list_has_no_query_per_row(root: Client) -> None:
    root.get(url("user", "changelist"))
    counts = []
    for more in (range(2), range(2, 9)):
        for number in more:
            User.objects.create_user(f"user{number}@example.com")
        with CaptureQueriesContext(connection) as queries:
            text(root, url("user", "changelist"))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_new_user_logs_in_and_owns_a_personal_organization(root: Client) -> None:
    form = {"email": "Bob@Example.com", "name": "Bob", "password1": PASSWORD, "password2": PASSWORD}
    reply = root.post(url("user", "add"), {**form, "usable_password": "true"})
    assert reply.status_code == 302

    bob = User.objects.get(email="bob@example.com")
    assert bob.personal_organization.name == "Bob"
    assert Client().login(email="bob@example.com", password=PASSWORD)
    event = AuditEvent.objects.get()
    assert (event.verb, event.target_id, event.details) == ("create", str(bob.pk), {"email": "bob@example.com"})
    assert event.organization == bob.personal_organization


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"email": "ALICE@example.com"}, "already exists"),
        ({"email": "bob"}, "valid email"),
        ({"password2": "another one"}, "match"),
        ({"password1": "short", "password2": "short"}, "too short"),
    ],
)
def test_a_bad_new_user_is_refused(root: Client, alice: User, changes: dict[str, str], message: str) -> None:
    form = {"email": "bob@example.com", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert message in root.post(url("user", "add"), {**form, **changes}).content.decode()
    assert (User.objects.count(), Organization.objects.count(), AuditEvent.objects.count()) == (2, 2, 0)


def test_changing_a_user_says_before_and_after(root: Client, alice: User) -> None:
    reply = root.post(url("user", "change", alice.pk), user_form(alice, email="Alice2@example.com", is_staff="on"))
    assert reply.status_code == 302
    alice.refresh_from_db()
    assert (alice.email, alice.is_staff) == ("alice2@example.com", True)
    event = AuditEvent.objects.get()
    assert event.actor == User.objects.get(email="root@example.com")
    assert (event.verb, event.target_type, event.address) == ("update", "accounts.user", "127.0.0.1")
    assert event.details == {"email": ["alice@example.com", "alice2@example.com"], "is_staff": [False, True]}


def test_an_address_that_was_replaced_no_longer_belongs_to_the_user(root: Client, alice: User) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    root.post(url("user", "change", alice.pk), user_form(alice, name="A"))
    assert EmailAddress.objects.filter(user=alice).exists()
    root.post(url("user", "change", alice.pk), user_form(alice, email="new@example.com"))
    assert not EmailAddress.objects.filter(user=alice).exists()


def test_saving_a_user_unchanged_is_no_event(root: Client, alice: User) -> None:
    assert root.post(url("user", "change", alice.pk), user_form(alice)).status_code == 302
    assert not AuditEvent.objects.exists()


def test_a_new_password_is_an_event_without_the_password(root: Client, alice: User) -> None:
    page = reverse("admin:auth_user_password_change", args=[alice.pk])
    text(root, page)
    assert root.post(page, {"password1": PASSWORD, "password2": "other"}).status_code == 200
    assert not AuditEvent.objects.exists()

    assert root.post(page, {"password1": PASSWORD, "password2": PASSWORD}).status_code == 302

    assert Client().login(email="alice@example.com", password=PASSWORD)
    event = AuditEvent.objects.get()
    assert (event.verb, event.target_id, event.details) == ("set_password", str(alice.pk), {})


def test_users_are_never_deleted(root: Client, alice: User) -> None:
    assert root.post(url("user", "delete", alice.pk), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in text(root, url("user", "changelist"))


# Rights


def test_staff_without_permission_sees_nothing(client: Client, alice: User) -> None:
    staff(client)
    for page in (url("user", "changelist"), url("user", "change", alice.pk), url("auditevent", "changelist")):
        assert client.get(page).status_code == 403


def test_nobody_logged_in_is_sent_to_the_login(client: Client) -> None:
    assert client.get(url("user", "changelist")).status_code == 302


def test_who_may_change_users_cannot_make_superusers(client: Client, alice: User) -> None:
    staff(client, "view_user", "change_user")
    client.post(url("user", "change", alice.pk), user_form(alice, name="A", is_superuser="on", is_staff="on"))
    alice.refresh_from_db()
    assert (alice.name, alice.is_staff, alice.is_superuser) == ("A", False, False)


def test_who_may_change_users_cannot_take_over_a_superuser(client: Client) -> None:
    root = User.objects.create_superuser("root@example.com")
    staff(client, "view_user", "change_user")
    page = reverse("admin:auth_user_password_change", args=[root.pk])
    assert client.post(page, {"password1": PASSWORD, "password2": PASSWORD}).status_code == 403
    assert client.post(url("user", "change", root.pk), user_form(root, email="me@example.com")).status_code == 403
    root.refresh_from_db()
    assert (root.email, root.has_usable_password()) == ("root@example.com", False)


# Audit events


def test_audit_pages_open_and_change_nothing(root: Client, alice: User) -> None:
    organization = alice.personal_organization
    event = audit.record(None, audit.Verb.GRANT, organization, organization_id=organization.pk, details={"a": "b"})
    page = text(root, url("auditevent", "changelist") + "?verb=grant&target_type=accounts.organization")
    assert "1 audit event" in page
    assert "the system" in page
    assert "1 audit event" in text(root, url("auditevent", "changelist") + f"?q={organization.pk}")
    assert "0 audit events" in text(root, url("auditevent", "changelist") + "?verb=correct")
    assert "&quot;a&quot;: &quot;b&quot;" in text(root, url("auditevent", "change", event.pk))
    assert root.get(url("auditevent", "add")).status_code == 403
    assert root.post(url("auditevent", "change", event.pk), {"verb": "create"}).status_code == 403
    assert root.post(url("auditevent", "delete", event.pk), {"post": "yes"}).status_code == 403


def test_audit_list_has_no_query_per_row(root: Client, alice: User) -> None:
    root.get(url("auditevent", "changelist"))
    counts = []
    for more in (2, 7):
        for _ in range(more):
            user = User.objects.create_user(f"user{User.objects.count()}@example.com")
            event = audit.record(None, audit.Verb.CREATE, user, organization_id=user.personal_organization.pk)
            AuditEvent.objects.create(actor=user, verb=event.verb, target_type="gone.model", target_id="1")
        with CaptureQueriesContext(connection) as queries:
            text(root, url("auditevent", "changelist"))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_types_of_targets_are_offered_and_chosen(root: Client, alice: User) -> None:
    for _ in range(3):
        audit.record(None, audit.Verb.UPDATE, alice.personal_organization)
        audit.record(None, audit.Verb.UPDATE, alice)
    audit.record(None, audit.Verb.IMPORT, ("providers.catalogue", "file"))
    listed = url("auditevent", "changelist")
    with CaptureQueriesContext(connection) as queries:
        html = text(root, listed)
    offered = [
        name
        for name in ("accounts.organization", "accounts.user", "providers.catalogue", "")
        if f'target_type={name}"' in html
    ]
    assert offered == ["accounts.organization", "accounts.user", "providers.catalogue"]
    assert "3 audit events" in text(root, f"{listed}?target_type=accounts.user")
    assert "0 audit events" in text(root, f"{listed}?target_type=nothing")
    # Each type is one step in the index, not a look at every event.
    assert not [query for query in queries if "DISTINCT" in query["sql"]]


def test_a_type_is_found_by_the_index(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {VALUES.format(table='accounts_auditevent', column='target_type')}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "accounts_audit_of_type" in plan
    assert "Seq Scan" not in plan
