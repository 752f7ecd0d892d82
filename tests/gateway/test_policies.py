"""Routing and privacy of an organization and of a key: their pages, the admin, and what requests then may do."""

import json
import time
from typing import Any, NamedTuple

import httpx
import pytest
from django.test import Client

from accounts import keys, organizations
from accounts.models import ApiKey, AuditEvent, Membership, Organization, RoutingPolicy, User
from accounts.policy import NO_POLICY, policy_of
from tests.services import Product
from tests.upstream import Upstream
from tests.waiting import until

pytestmark = pytest.mark.thorough

IN_FORCE_S = 1.0
FORM = {"allowed_providers": "", "ignored_providers": "", "sort": "", "preferences": "{}"}


@pytest.fixture
def acme(db: None) -> Organization:
    return organizations.found("Acme", User.objects.create_user("alice@example.com"))


@pytest.fixture
def key(acme: Organization) -> ApiKey:
    return keys.issue(acme, created_by=None, name="one")[0]


def browser(organization: Organization, role: Membership.Role) -> Client:
    user = User.objects.create_user(f"{role}@example.com")
    Membership.objects.create(organization=organization, user=user, role=role)
    client = Client()
    client.force_login(user)
    assert client.post("/organization", {"organization": str(organization.pk)}).status_code == 302
    return client


def test_the_page_saves_and_leaves_an_event(acme: Organization, key: ApiKey) -> None:
    client = browser(acme, Membership.Role.ADMIN)
    sent = FORM | {
        "denies_collection": "on",
        "allowed_providers": "DeepInfra, acme/eu",
        "sort": "latency",
        "preferences": '{"max_price": {"prompt": 2}}',
    }
    assert client.post("/settings/routing", sent).status_code == 302
    row = RoutingPolicy.objects.get(organization=acme)
    assert (row.denies_collection, row.needs_zdr, row.sort) == (True, False, "latency")
    assert row.allowed_providers == ["deepinfra", "acme/eu"]
    event = AuditEvent.objects.filter(target_type="accounts.routingpolicy").get()
    assert event.organization_id == acme.pk
    assert event.details["sort"] == ["", "latency"]
    page = client.get("/settings/routing").content.decode()
    assert "deepinfra acme/eu" in page
    policy = policy_of(key)
    assert policy.denies_collection
    assert json.loads(policy.defaults) == {"max_price": {"prompt": 2}, "sort": "latency"}


def test_the_page_of_a_key(acme: Organization, key: ApiKey) -> None:
    client = browser(acme, Membership.Role.OWNER)
    assert client.post(f"/keys/{key.hash}/routing", FORM | {"needs_zdr": "on"}).status_code == 302
    assert policy_of(key).needs_zdr
    other = keys.issue(acme, created_by=None, name="two")[0]
    assert policy_of(other) is NO_POLICY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowed_providers", "no slug!"),
        ("ignored_providers", "a/b/c"),
        ("sort", "beauty"),
        ("preferences", "[1]"),
        ("preferences", '{"colour": 1}'),
        ("preferences", '{"quantizations": ["fp7"]}'),
        ("preferences", "{"),
    ],
)
def test_what_means_nothing_is_refused(acme: Organization, field: str, value: str) -> None:
    answer = browser(acme, Membership.Role.ADMIN).post("/settings/routing", FORM | {field: value})
    assert answer.status_code == 200
    assert b"field-error" in answer.content
    assert not RoutingPolicy.objects.exists()


@pytest.mark.parametrize("role", [Membership.Role.BILLING, Membership.Role.DEVELOPER, Membership.Role.VIEWER])
def test_others_look_and_change_nothing(acme: Organization, key: ApiKey, role: Membership.Role) -> None:
    client = browser(acme, role)
    for path in ("/settings/routing", f"/keys/{key.hash}/routing"):
        assert b"<form method" not in client.get(path).content.split(b"Routing and privacy</h1>")[1]
        assert client.post(path, FORM | {"needs_zdr": "on"}).status_code == 403
    assert not RoutingPolicy.objects.exists()


def test_a_key_of_another_organization_is_not_there(acme: Organization, key: ApiKey) -> None:
    other = organizations.found("Other", User.objects.create_user("bob@example.com"))
    client = browser(other, Membership.Role.OWNER)
    assert client.post(f"/keys/{key.hash}/routing", FORM | {"needs_zdr": "on"}).status_code == 404


def test_key_and_organization_are_united(acme: Organization, key: ApiKey) -> None:
    RoutingPolicy.objects.create(
        organization=acme,
        denies_collection=True,
        allowed_providers=["a", "b"],
        ignored_providers=["x"],
        sort="price",
        preferences={"quantizations": ["fp8"]},
    )
    RoutingPolicy.objects.create(
        api_key=key, needs_zdr=True, allowed_providers=["b", "c"], ignored_providers=["Y"], sort="latency"
    )
    policy = policy_of(key)
    assert (policy.denies_collection, policy.needs_zdr) == (True, True)
    assert policy.only == (frozenset("ab"), frozenset("bc"))
    assert policy.ignore == frozenset("xy")
    assert json.loads(policy.defaults) == {"quantizations": ["fp8"], "sort": "latency"}


def test_the_admin_edits_them_with_the_same_form(acme: Organization) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com"))
    url = "/admin/accounts/routingpolicy/add/"
    assert client.get(url).status_code == 200
    bad = FORM | {"organization": str(acme.pk), "preferences": '{"quantizations": ["fp7"]}'}
    assert client.post(url, bad).status_code == 200
    assert client.post(url, bad | {"preferences": "{}", "ignored_providers": "acme"}).status_code == 302
    assert RoutingPolicy.objects.get(organization=acme).ignored_providers == ["acme"]
    assert client.get("/admin/accounts/routingpolicy/").status_code == 200
    # Neither of both, or both, is no policy of anyone.
    assert client.post(url, FORM).status_code == 200


# Requests


class Account(NamedTuple):
    token: str
    email: str


def policy(product: Product, account: Account, **columns: Any) -> None:
    """Sets the policy of the account's organization."""
    organization = product.sql(
        "SELECT organization_id FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id WHERE email = %s",
        [account.email],
    )[0][0]
    row = {
        "denies_collection": False,
        "needs_zdr": False,
        "allowed_providers": "[]",
        "ignored_providers": "[]",
        "sort": "",
        "preferences": "{}",
        **{name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in columns.items()},
    }
    product.sql("DELETE FROM accounts_routingpolicy WHERE organization_id = %s", [organization])
    product.sql(
        "INSERT INTO accounts_routingpolicy"
        " (organization_id, denies_collection, needs_zdr, allowed_providers, ignored_providers, sort, preferences,"
        "  updated_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, now())",
        [organization, *row.values()],
    )


@pytest.fixture
def mine(shared: Product) -> Account:
    """Of an organization that no other test uses."""
    email = f"policy-{time.monotonic_ns()}@example.com"
    return Account(shared.issue_key(email, "10"), email)


def asked(shared: Product, account: Account, **fields: Any) -> httpx.Response:
    return shared.ask(account.token, "acme/three", **fields)


def test_a_policy_is_in_force_within_a_second(shared: Product, mine: Account, script: Upstream) -> None:
    assert asked(shared, mine).status_code == 200
    policy(shared, mine, allowed_providers=["secondary"])
    until(lambda: asked(shared, mine).json().get("provider") == "Secondary", IN_FORCE_S)
    answer = asked(shared, mine, provider={"only": ["primary"]})
    assert answer.status_code == 404
    assert answer.json()["error"]["availability"]["excluded_by"] == ["allowed_providers"]
    assert "allow-list of your organization" in answer.json()["error"]["message"]
    policy(shared, mine, needs_zdr=True)
    until(lambda: asked(shared, mine, provider={"zdr": False}).status_code == 404, IN_FORCE_S)


def test_default_preferences_hold_until_a_request_says_otherwise(
    shared: Product, mine: Account, script: Upstream
) -> None:
    policy(shared, mine, preferences={"order": ["tertiary"]})
    until(lambda: asked(shared, mine).json().get("provider") == "Tertiary", IN_FORCE_S)
    assert asked(shared, mine, provider={"order": ["secondary"]}).json()["provider"] == "Secondary"


@pytest.mark.parametrize("column", ["is_draining", "is_enabled"])
def test_what_an_operator_turns_is_in_force_within_a_second(
    shared: Product, mine: Account, script: Upstream, column: str
) -> None:
    def turn(value: bool) -> None:
        shared.sql(f"UPDATE providers_provider SET {column} = %s WHERE slug = 'primary'", [value])

    only = {"provider": {"only": ["primary"]}}
    turn(column == "is_draining")
    try:
        until(lambda: asked(shared, mine, **only).status_code in (404, 503), IN_FORCE_S)
        listed = httpx.get(f"{shared.url}/api/v1/models/acme/three/endpoints").json()["data"]["endpoints"]
        assert ("primary" in [row["tag"] for row in listed]) == (column == "is_draining")
    finally:
        turn(column != "is_draining")
        until(lambda: asked(shared, mine, **only).status_code == 200, IN_FORCE_S)


def test_a_weight_of_nothing_is_in_force_within_a_second(shared: Product, mine: Account, script: Upstream) -> None:
    shared.sql("UPDATE providers_endpoint SET weight = 0 WHERE tag IN ('primary', 'tertiary')")
    try:
        until(lambda: {asked(shared, mine).json()["provider"] for _ in range(3)} == {"Secondary"}, IN_FORCE_S)
        assert {asked(shared, mine).json()["provider"] for _ in range(8)} == {"Secondary"}
    finally:
        shared.sql("UPDATE providers_endpoint SET weight = 100")
