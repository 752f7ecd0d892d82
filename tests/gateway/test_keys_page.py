"""The keys page: who sees and changes which keys, and that a key is shown once."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, AuditEvent, Membership, User

pytestmark = pytest.mark.usefixtures("at_ease")


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def bob(alice: User) -> User:
    user = User.objects.create_user("bob@example.com")
    Membership.objects.create(organization=alice.personal_organization, user=user, role=Membership.Role.DEVELOPER)
    return user


def browser(user: User, *, of: User | None = None) -> Client:
    """Logged in, and looking at that user's organization."""
    client = Client()
    client.force_login(user)
    if of is not None:
        client.post("/organization", {"organization": str(of.personal_organization.pk)})
    return client


@pytest.fixture
def key(alice: User) -> ApiKey:
    return keys.issue(alice.personal_organization, name="production", created_by=alice)[0]


def form(**fields: Any) -> dict[str, Any]:
    return {"name": "laptop", "limit": "", "limit_reset": "", "expires_at": "", **fields}


def test_a_new_key_is_shown_once_and_works(alice: User) -> None:
    client = browser(alice)
    response = client.post("/keys/new", form(limit="2.000000001", limit_reset="daily", expires_at="2099-01-01T12:30"))
    found = re.search(r"sk-tp-v1-\w+", response.content.decode())
    assert found
    key = ApiKey.objects.live().get(hash=keys.digest(found[0]))
    assert (key.limit_nano, key.limit_reset, key.created_by) == (2_000_000_001, "daily", alice)
    assert str(key.expires_at) == "2099-01-01 12:30:00+00:00"
    assert "no-store" in response["Cache-Control"]
    assert found[0] not in client.get("/keys").content.decode()
    assert AuditEvent.objects.get().target_id == str(key.pk)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"limit": "-1"},
        {"limit": "0.0000000001"},
        {"limit_reset": "x"},
        {"expires_at": "2020-01-01T00:00"},
    ],
)
def test_wrong_fields_make_no_key(alice: User, wrong: dict[str, str]) -> None:
    response = browser(alice).post("/keys/new", form(**wrong))
    assert response.status_code == 200
    assert "field-error" in response.content.decode()
    assert not ApiKey.objects.exists()


def test_the_list_shows_keys_of_the_organization(alice: User, key: ApiKey) -> None:
    charlie = User.objects.create_user("charlie@example.com")
    assert "production" in browser(alice).get("/keys").content.decode()
    assert "production" not in browser(charlie).get("/keys").content.decode()


def test_it_asks_as_many_queries_for_many_keys(alice: User, key: ApiKey, django_assert_num_queries: Any) -> None:
    client = browser(alice)
    for number in range(5):
        keys.issue(alice.personal_organization, name=f"k{number}", created_by=alice)
    with django_assert_num_queries(5):
        client.get("/keys")


def test_a_key_is_changed(alice: User, key: ApiKey) -> None:
    response = browser(alice).post(f"/keys/{key.hash}", form(name="renamed", limit="5", is_disabled="on"))
    assert response["Location"] == "/keys"
    key.refresh_from_db()
    assert (key.name, key.limit_nano, key.is_disabled, key.limit_reset) == ("renamed", 5 * 10**9, True, "")


def test_a_deleted_key_is_gone_but_its_row_stays(alice: User, key: ApiKey) -> None:
    client = browser(alice)
    assert client.get(f"/keys/{key.hash}/delete").status_code == 405
    client.post(f"/keys/{key.hash}/delete")
    assert client.get(f"/keys/{key.hash}").status_code == 404
    key.refresh_from_db()
    assert key.deleted_at


def test_states_are_told(alice: User, key: ApiKey) -> None:
    client = browser(alice)
    assert "live" in client.get("/keys").content.decode()
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired" in client.get("/keys").content.decode()


def test_outsiders_find_nothing(alice: User, key: ApiKey) -> None:
    client = browser(User.objects.create_user("charlie@example.com"))
    assert client.post("/organization", {"organization": str(alice.personal_organization.pk)}).status_code == 404
    assert client.get(f"/keys/{key.hash}").status_code == 404
    assert client.post(f"/keys/{key.hash}", form()).status_code == 404
    assert client.post(f"/keys/{key.hash}/delete").status_code == 404
    assert ApiKey.objects.filter(name="production", deleted_at=None).exists()


def test_developers_change_their_own_keys_only(alice: User, bob: User, key: ApiKey) -> None:
    client = browser(bob, of=alice)
    assert client.get(f"/keys/{key.hash}").status_code == 200
    assert client.post(f"/keys/{key.hash}", form()).status_code == 403
    assert client.post(f"/keys/{key.hash}/delete").status_code == 403
    assert client.post("/keys/new", form(management="on")).status_code == 200
    own = ApiKey.objects.get(created_by=bob)
    assert not own.is_management
    assert client.post(f"/keys/{own.hash}/delete").status_code == 302


@pytest.mark.parametrize("role", [Membership.Role.VIEWER, Membership.Role.BILLING])
def test_other_members_only_look(alice: User, bob: User, key: ApiKey, role: Membership.Role) -> None:
    Membership.objects.filter(user=bob, organization=alice.personal_organization).update(role=role)
    client = browser(bob, of=alice)
    assert client.get("/keys").status_code == 200
    assert client.get("/keys/new").status_code == 403
    assert client.post("/keys/new", form()).status_code == 403
    assert client.post(f"/keys/{key.hash}", form()).status_code == 403


def test_who_leaves_sees_their_own_again(alice: User, bob: User, key: ApiKey) -> None:
    client = browser(bob, of=alice)
    assert "production" in client.get("/keys").content.decode()
    Membership.objects.filter(user=bob, organization=alice.personal_organization).delete()
    assert "production" not in client.get("/keys").content.decode()


def test_creation_is_limited(alice: User) -> None:
    client = browser(alice)
    codes = [client.post("/keys/new", form(name="")).status_code for _ in range(31)]
    assert (codes[29], codes[30]) == (200, 429)
