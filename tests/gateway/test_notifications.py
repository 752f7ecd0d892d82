"""Which mail goes to whom: roles' defaults, what members choose, one more address, what changes who may do what."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts import keys, organizations
from accounts.models import AuditEvent, Membership, Organization, User
from accounts.notices import TOLD, Notice, recipients
from billing import alerts, ledger
from billing.models import Budget
from billing.payments.backoff import count_failure
from billing.payments.models import BillingProfile, TopUp

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

Role = Membership.Role
PAGE = "/settings/notifications"
DOLLAR = 10**9


@pytest.fixture
def acme() -> Organization:
    """One member of each role, named after it."""
    found = organizations.found("Acme", User.objects.create_user("owner@example.com"))
    for role in Role:
        if role != Role.OWNER:
            Membership.objects.create(
                organization=found, user=User.objects.create_user(f"{role}@example.com"), role=role
            )
    return found


def member(role: str) -> Membership:
    return Membership.objects.get(user__email=f"{role}@example.com", organization__is_personal=False)


def browser(role: str) -> Client:
    one = member(role)
    client = Client()
    client.force_login(one.user)
    client.post("/organization", {"organization": str(one.organization_id)})
    return client


def told(acme: Organization, notice: Notice, **more: Any) -> set[str]:
    return {address.partition("@")[0] for address in recipients(acme.pk, notice, **more)}


def choose(client: Client, *members: Membership, told: dict[Membership, set[Notice]]) -> int:
    chosen = [f"{one.pk}:{notice}" for one, found in told.items() for notice in found]
    return client.post(PAGE, {"member": [one.pk for one in members], "told": chosen}).status_code


# Who gets what


def test_roles_begin_with_what_is_theirs(acme: Organization) -> None:
    assert told(acme, Notice.LOW_BALANCE) == told(acme, Notice.AUTOMATIC_FAILED) == {"owner", "admin", "billing"}
    assert told(acme, Notice.BUDGET) == told(acme, Notice.SECURITY) == {"owner", "admin"}
    developer = member("developer").user
    assert told(acme, Notice.BUDGET, concerned=developer) == {"owner", "admin", "developer"}
    assert set(TOLD) == set(Notice)


def test_each_chooses_for_themselves(acme: Organization) -> None:
    developer, admin = member("developer"), member("admin")
    assert choose(browser("developer"), developer, told={developer: {Notice.LOW_BALANCE}}) == 302
    assert told(acme, Notice.LOW_BALANCE) == {"owner", "admin", "billing", "developer"}
    assert told(acme, Notice.BUDGET, concerned=developer.user) == {"owner", "admin"}
    assert choose(browser("admin"), admin, told={admin: set()}) == 302
    assert [told(acme, notice) & {"admin"} for notice in Notice] == [set()] * len(Notice)


def test_a_new_role_brings_its_own_mail_but_for_what_was_chosen(acme: Organization) -> None:
    viewer = member("viewer")
    choose(browser("viewer"), viewer, told={viewer: set()})
    organizations.change_role(viewer, Role.ADMIN)
    assert "viewer" in told(acme, Notice.LOW_BALANCE)
    assert "viewer" in told(acme, Notice.SECURITY)
    assert "viewer" not in told(acme, Notice.BUDGET, concerned=viewer.user) - told(acme, Notice.BUDGET)


def test_nobody_but_who_reads_the_audit_log_is_told_what_it_says(acme: Organization) -> None:
    developer = member("developer")
    choose(browser("developer"), developer, told={developer: {Notice.SECURITY}})
    assert "developer" not in told(acme, Notice.SECURITY)
    assert Notice.SECURITY.label not in row_of(browser("developer"), "developer")
    admin = member("admin")
    choose(browser("admin"), admin, told={admin: {Notice.SECURITY}})
    organizations.change_role(admin, Role.VIEWER)
    assert "admin" not in told(acme, Notice.SECURITY)


def row_of(client: Client, role: str) -> str:
    """Of the page, what is shown beside that member."""
    text = client.get(PAGE).content.decode()
    found = re.search(rf"<fieldset[^>]*>\s*<legend[^>]*>{role}@example\.com.*?</fieldset>", text, re.DOTALL)
    assert found
    return found[0]


def test_who_sets_up_chooses_for_all_and_others_do_not(acme: Organization) -> None:
    billing, viewer = member("billing"), member("viewer")
    assert choose(browser("admin"), billing, viewer, told={viewer: {Notice.LOW_BALANCE}}) == 302
    assert told(acme, Notice.LOW_BALANCE) == {"owner", "admin", "viewer"}
    changes = [event.details for event in AuditEvent.objects.filter(verb="update")]
    assert {"billing@example.com", "viewer@example.com"} == {details["member"] for details in changes}
    for role in ("billing", "developer", "viewer"):
        client = browser(role)
        assert choose(client, member("owner"), told={}) == 403
        assert choose(client, member(role), member("owner"), told={}) == 403
        assert "disabled" in row_of(client, "owner")
        assert client.post(PAGE, {"notices_email": "x@example.com"}).status_code == 403
    assert "owner" in told(acme, Notice.LOW_BALANCE)


def test_other_organizations_members_are_not_there(acme: Organization) -> None:
    charlie = User.objects.create_user("charlie@example.com")
    client = Client()
    client.force_login(charlie)
    for wrong in (str(member("owner").pk), "0", "x", "9" * 30):
        assert client.post(PAGE, {"member": [wrong]}).status_code == 404
    assert client.post(PAGE).status_code == 404
    assert member("owner").notices == {}


# One more address


def test_mail_about_money_goes_to_one_more_address(acme: Organization) -> None:
    client = browser("owner")
    assert client.post(PAGE, {"notices_email": "not an address"}).context["form"].errors
    assert client.post(PAGE, {"notices_email": "books@example.com"}).status_code == 302
    assert "books" in told(acme, Notice.LOW_BALANCE) & told(acme, Notice.BUDGET) & told(acme, Notice.AUTOMATIC_FAILED)
    assert "books" not in told(acme, Notice.SECURITY)
    assert "Goes to books@example.com, too." in browser("viewer").get(PAGE).content.decode()
    client.post(PAGE, {"notices_email": ""})
    assert "books" not in told(acme, Notice.LOW_BALANCE)


# What is mailed obeys


@pytest.fixture
def sent(django_capture_on_commit_callbacks: Any) -> Any:
    def run(work: Any) -> dict[str, list[str]]:
        """Subjects by recipient."""
        mail.outbox.clear()
        with django_capture_on_commit_callbacks(execute=True):
            work()
        found: dict[str, list[str]] = {}
        for message in mail.outbox:
            found.setdefault(message.to[0].partition("@")[0], []).append(str(message.subject))
        return found

    return run


def test_low_credit(acme: Organization, sent: Any) -> None:
    ledger.grant(acme, amount=DOLLAR, reason="x")
    BillingProfile.objects.create(organization=acme, low_balance_cents=200)
    choose(browser("billing"), member("billing"), told={})
    assert set(sent(alerts.run)) == {"owner", "admin"}
    assert "https://turnpike.example/settings/notifications" in mail.outbox[0].body


def test_a_budget(acme: Organization, sent: Any) -> None:
    developer = member("developer")
    key, _ = keys.issue(acme, name="k", created_by=developer.user, limit_nano=DOLLAR)
    periods = {name: key.created_at.date() for name in ("day", "week", "month")}
    Budget.objects.create(id=key.pk, used=DOLLAR, **periods)
    choose(browser("owner"), member("owner"), told={})
    found = sent(alerts.run)
    assert set(found) == {"admin", "developer"}
    assert found["developer"][0].startswith("A limit is used up")


def test_a_failed_automatic_top_up(acme: Organization, sent: Any) -> None:
    BillingProfile.objects.create(organization=acme, is_automatic=True)
    top_up = TopUp.objects.create(organization=acme, source=TopUp.Source.AUTOMATIC, credit_cents=1000)
    choose(browser("admin"), member("admin"), told={})
    found = sent(lambda: count_failure(top_up, "Your card was declined."))
    assert found == {key: ["Automatic top-up failed"] for key in ("owner", "billing")}


def test_what_changes_who_may_do_what(acme: Organization, sent: Any) -> None:
    owner, viewer = browser("owner"), member("viewer")
    change = sent(lambda: owner.post(f"/settings/members/{viewer.pk}", {"role": "admin"}))
    # The new admin is told, too, and so is who did it: it may have been somebody with their session.
    assert change == {key: ["A role changed: Acme"] for key in ("owner", "admin", "viewer")}
    assert "Role: viewer → admin" in mail.outbox[0].body
    assert "By: owner@example.com from 127.0.0.1" in mail.outbox[0].body
    choose(browser("admin"), member("admin"), told={})
    made = sent(lambda: owner.post("/keys/new", {"name": "robot", "management": "on"}))
    assert made == {key: ["A management key was made: Acme"] for key in ("owner", "viewer")}
    assert "sk-tp" not in mail.outbox[0].body
    removed = sent(lambda: owner.post(f"/settings/members/{viewer.pk}/remove", {}))
    assert removed == {"owner": ["A member was removed: Acme"]}


def test_what_changes_nothing_about_rights_is_not_mailed(acme: Organization, sent: Any) -> None:
    owner = browser("owner")
    assert sent(lambda: owner.post("/keys/new", {"name": "laptop"})) == {}
    assert sent(lambda: owner.post("/settings/budgets/set", {"limit": "5", "member": member("viewer").pk})) == {}
    assert sent(lambda: owner.post(PAGE, {"member": [member("viewer").pk]})) == {}
