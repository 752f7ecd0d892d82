"""Organizations: founding, inviting, roles, handing over, leaving; what each leaves in the audit log."""

import os
import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import keys, organizations
from accounts.models import ApiKey, AuditEvent, Invitation, Membership, Organization, User
from accounts.organizations import MembershipError
from billing.models import Wallet
from tests.services import Servers, manage

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

Role = Membership.Role
PASSWORD = "corridor-lantern-42"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def acme(alice: User) -> Organization:
    return organizations.found("Acme", alice)


def join(organization: Organization, email: str, role: Membership.Role) -> User:
    user = User.objects.create_user(email)
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


def browser(user: User, organization: Organization | None = None) -> Client:
    client = Client()
    client.force_login(user)
    if organization:
        assert client.post("/organization", {"organization": str(organization.pk)}).status_code == 302
    return client


def member(organization: Organization, user: User) -> Membership:
    return Membership.objects.get(organization=organization, user=user)


def link() -> str:
    found = re.search(r"https://turnpike\.example(/invitations/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


# Founding and switching


def test_who_founds_an_organization_owns_it_and_looks_at_it(alice: User) -> None:
    client = browser(alice)
    assert client.post("/settings/organization/new", {"name": "Acme"})["Location"] == "/settings/members"
    organization = Organization.objects.get(name="Acme")
    assert (member(organization, alice).role, organization.is_personal) == (Role.OWNER, False)
    assert "Acme" in text(client, "/dashboard")
    event = AuditEvent.objects.get()
    assert (event.verb, event.organization, event.actor) == ("create", organization, alice)


def test_the_menu_switches(alice: User, acme: Organization) -> None:
    client = browser(alice)
    assert "Acme" in text(client, "/dashboard")
    client.post("/organization", {"organization": str(acme.pk)})
    assert 'aria-current="true"><span class="truncate">Acme' in text(client, "/dashboard")


def test_a_name_is_changed_and_told(alice: User, acme: Organization) -> None:
    browser(alice, acme).post("/settings/organization", {"name": "Acne"})
    acme.refresh_from_db()
    assert acme.name == "Acne"
    assert AuditEvent.objects.get().details == {"name": ["Acme", "Acne"]}


# Inviting


def test_an_invitation_to_a_membership(alice: User, acme: Organization, client: Client) -> None:
    browser(alice, acme).post("/settings/members", {"email": "Bob@Example.com", "role": "developer"})
    assert mail.outbox[-1].to == ["bob@example.com"]
    assert "Acme" in mail.outbox[-1].subject
    path = link()
    assert "Sign up" in text(client, path)

    # The mail proved the address: no second link is sent.
    response = client.post(f"/signup?next={path}", {"email": "bob@example.com", "password1": PASSWORD, "next": path})
    assert response["Location"] == path
    assert client.post(path)["Location"] == "/dashboard"
    bob = User.objects.get(email="bob@example.com")
    assert member(acme, bob).role == Role.DEVELOPER
    assert "Acme" in text(client, "/dashboard")
    assert list(AuditEvent.objects.order_by("id").values_list("verb", flat=True)) == ["invite", "join"]


def test_sign_up_credit_comes_with_an_invitation_too(
    alice: User, acme: Organization, client: Client, settings: Any
) -> None:
    settings.SIGNUP_CREDIT_NANO = 7
    browser(alice, acme).post("/settings/members", {"email": "bob@example.com", "role": "viewer"})
    client.get(link())
    client.post("/signup", {"email": "bob@example.com", "password1": PASSWORD})
    assert Wallet.objects.get(organization__name="bob@example.com").credit == 7


def test_the_link_alone_opens_no_other_address(alice: User, acme: Organization, client: Client) -> None:
    browser(alice, acme).post("/settings/members", {"email": "bob@example.com", "role": "viewer"})
    client.get(link())
    client.post("/signup", {"email": "mallory@example.com", "password1": PASSWORD})
    mallory = User.objects.filter(email="mallory@example.com").first()
    assert mallory is None or not EmailAddress.objects.filter(user=mallory, verified=True).exists()


@pytest.mark.parametrize("mode", ["invite", "closed"])
def test_sign_up_by_invitation_only_lets_the_invited_in(
    alice: User, acme: Organization, client: Client, settings: Any, mode: str
) -> None:
    settings.SIGNUP = mode
    browser(alice, acme).post("/settings/members", {"email": "bob@example.com", "role": "viewer"})
    client.get(link())
    client.post("/signup", {"email": "bob@example.com", "password1": PASSWORD})
    assert User.objects.filter(email="bob@example.com").exists() == (mode == "invite")


def test_another_user_cannot_use_it(alice: User, acme: Organization) -> None:
    browser(alice, acme).post("/settings/members", {"email": "bob@example.com", "role": "owner"})
    path = link()
    charlie = browser(User.objects.create_user("charlie@example.com"))
    assert "logged in as charlie" in text(charlie, path)
    assert charlie.post(path).status_code == 403
    assert Membership.objects.filter(organization=acme).count() == 1


@pytest.mark.parametrize("how", ["withdrawn", "used", "old", "sent anew"])
def test_an_invitation_ends(alice: User, acme: Organization, how: str) -> None:
    bob = User.objects.create_user("bob@example.com")
    invitation = organizations.invite(acme, email="bob@example.com", role=Role.VIEWER, invited_by=alice)
    if how == "withdrawn":
        browser(alice, acme).post(f"/settings/invitations/{invitation.pk}")
    elif how == "used":
        organizations.accept(invitation, bob)
        Membership.objects.filter(user=bob, organization=acme).delete()
    elif how == "old":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        organizations.invite(acme, email="bob@example.com", role=Role.VIEWER, invited_by=alice)
    with pytest.raises(MembershipError):
        organizations.accept(invitation, bob)
    assert not Membership.objects.filter(user=bob, organization=acme).exists()


@pytest.mark.parametrize("token", ["x", "1:2:3", "a" * 300])
def test_a_made_up_link_is_none(client: Client, token: str) -> None:
    assert client.get(f"/invitations/{token}").status_code == 404


def test_members_are_not_invited_again(alice: User, acme: Organization) -> None:
    response = browser(alice, acme).post("/settings/members", {"email": "alice@example.com", "role": "viewer"})
    assert "a member already" in response.content.decode()
    assert not mail.outbox


def test_admins_make_no_owners(acme: Organization) -> None:
    admin = join(acme, "admin@example.com", Role.ADMIN)
    bob = join(acme, "bob@example.com", Role.VIEWER)
    client = browser(admin, acme)
    assert (
        "field-error" in client.post("/settings/members", {"email": "x@example.com", "role": "owner"}).content.decode()
    )
    assert client.post(f"/settings/members/{member(acme, bob).pk}", {"role": "owner"}).status_code == 403
    assert client.post(f"/settings/members/{member(acme, admin).pk}", {"role": "owner"}).status_code == 403
    assert client.post(f"/settings/members/{member(acme, bob).pk}", {"role": "admin"}).status_code == 302
    assert member(acme, bob).role == Role.ADMIN


def test_admins_leave_owners_alone(alice: User, acme: Organization) -> None:
    client = browser(join(acme, "admin@example.com", Role.ADMIN), acme)
    path = f"/settings/members/{member(acme, alice).pk}"
    assert client.post(path, {"role": "viewer"}).status_code == 403
    assert client.post(f"{path}/remove").status_code == 403


def test_a_personal_organization_has_one_member(alice: User) -> None:
    client = browser(alice)
    assert client.post("/settings/members", {"email": "bob@example.com", "role": "viewer"}).status_code == 403
    client.post("/settings/organization/leave")
    assert alice.memberships.count() == 1


# Roles, handing over, leaving


def test_a_role_is_changed_and_counts_at_once(alice: User, acme: Organization) -> None:
    bob = join(acme, "bob@example.com", Role.DEVELOPER)
    theirs = browser(bob, acme)
    assert theirs.get("/keys/new").status_code == 200
    browser(alice, acme).post(f"/settings/members/{member(acme, bob).pk}", {"role": "viewer"})
    assert theirs.get("/keys/new").status_code == 403
    assert AuditEvent.objects.get().details == {"member": "bob@example.com", "role": ["developer", "viewer"]}


def test_the_last_owner_stays(alice: User, acme: Organization) -> None:
    client = browser(alice, acme)
    path = f"/settings/members/{member(acme, alice).pk}"
    for response in (
        client.post(path, {"role": "viewer"}, follow=True),
        client.post(f"{path}/remove", follow=True),
        client.post("/settings/organization/leave", follow=True),
    ):
        assert "needs an owner" in response.content.decode()
    assert member(acme, alice).role == Role.OWNER
    assert not AuditEvent.objects.exists()


def test_handing_over(alice: User, acme: Organization) -> None:
    bob = join(acme, "bob@example.com", Role.DEVELOPER)
    browser(alice, acme).post("/settings/organization/owner", {"member": member(acme, bob).pk})
    assert (member(acme, bob).role, member(acme, alice).role) == (Role.OWNER, Role.ADMIN)
    assert AuditEvent.objects.get().verb == "transfer"


def test_it_is_handed_over_to_members_only(alice: User, acme: Organization) -> None:
    charlie = User.objects.create_user("charlie@example.com")
    outsider = Membership.objects.get(user=charlie)
    for chosen in (str(outsider.pk), "", "x", "9" * 30):
        browser(alice, acme).post("/settings/organization/owner", {"member": chosen})
    assert member(acme, alice).role == Role.OWNER


@pytest.mark.parametrize("with_keys", [True, False])
def test_who_leaves_may_take_their_keys_along(acme: Organization, with_keys: bool) -> None:
    bob = join(acme, "bob@example.com", Role.DEVELOPER)
    key, _ = keys.issue(acme, name="laptop", created_by=bob)
    elsewhere, _ = keys.issue(bob.personal_organization, name="own", created_by=bob)
    browser(bob, acme).post("/settings/organization/leave", {"with_keys": "on"} if with_keys else {})
    assert not Membership.objects.filter(user=bob, organization=acme).exists()
    assert ApiKey.objects.get(pk=key.pk).is_disabled == with_keys
    assert not ApiKey.objects.get(pk=elsewhere.pk).is_disabled
    assert AuditEvent.objects.get().details == {"keys_disabled": int(with_keys)}


def test_who_is_removed_sees_nothing_any_more(alice: User, acme: Organization) -> None:
    bob = join(acme, "bob@example.com", Role.ADMIN)
    keys.issue(acme, name="production", created_by=alice)
    theirs = browser(bob, acme)
    assert "production" in text(theirs, "/keys")
    browser(alice, acme).post(f"/settings/members/{member(acme, bob).pk}/remove", {"with_keys": "on"})
    assert "production" not in text(theirs, "/keys")


RACE = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from django.db import connection
from accounts import organizations
from accounts.models import Membership, User

alice, bob = [User.objects.create_user(f"{name}@example.com") for name in ("alice", "bob")]
acme = organizations.found("Acme", alice)
Membership.objects.create(organization=acme, user=bob, role="owner")
both = list(Membership.objects.filter(organization=acme))
barrier = Barrier(2)

def leave(member):
    connection.ensure_connection()
    barrier.wait()
    try:
        organizations.remove(member, with_keys=False)
    except organizations.MembershipError:
        return "stays"
    finally:
        connection.close()
    return "left"

with ThreadPoolExecutor(2) as pool:
    print(*sorted(pool.map(leave, both)), Membership.objects.filter(organization=acme, role="owner").count())
"""


def test_two_owners_do_not_leave_each_other_behind(servers: Servers) -> None:
    environment = {**os.environ, "DATABASE_URL": servers.new_database()}
    assert manage(environment, "shell", "--verbosity", "0", "-c", RACE).stdout.strip() == "left stays 1"


# The audit log


def test_the_log_tells_who_what_and_from_where(alice: User, acme: Organization) -> None:
    client = browser(alice, acme)
    client.post("/settings/organization", {"name": "Acne"}, REMOTE_ADDR="192.0.2.7")
    client.post("/keys/new", {"name": "laptop"})
    shown = text(client, "/settings/audit")
    for word in ("alice@example.com", "192.0.2.7", "Acme → Acne", "laptop"):
        assert word in shown
    assert "laptop" not in text(client, "/settings/audit?verb=update")
    assert "Nothing like that" in text(client, "/settings/audit?who=bob")


def test_the_log_is_the_organizations_own(alice: User, acme: Organization) -> None:
    browser(alice, acme).post("/keys/new", {"name": "secret-project"})
    charlie = browser(User.objects.create_user("charlie@example.com"))
    assert "secret-project" not in text(charlie, "/settings/audit")
    assert charlie.get("/settings/audit?before=x").status_code == 404


def test_many_rows_take_as_many_queries(alice: User, acme: Organization, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        join(acme, f"user{number}@example.com", Role.VIEWER)
        organizations.invite(acme, email=f"guest{number}@example.com", role=Role.VIEWER, invited_by=alice)
        browser(alice, acme).post("/settings/organization", {"name": f"Acme {number}"})
    client = browser(alice, acme)
    with django_assert_max_num_queries(6):
        client.get("/settings/members")
    with django_assert_max_num_queries(5):
        client.get("/settings/audit")
