"""Changing e-mail and password while logged in, second factors, sessions."""

import re
import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.usersessions.models import UserSession
from django.core import mail
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from accounts.models import AuditEvent, User

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

PASSWORD = "corridor-lantern-42"


@pytest.fixture
def alice() -> User:
    user = User.objects.create_user("alice@example.com", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.fixture
def here(alice: User) -> Client:
    return logged_in()


def logged_in(email: str = "alice@example.com", password: str = PASSWORD, **headers: Any) -> Client:
    client = Client(**headers)
    assert client.post("/login", {"login": email, "password": password}).status_code == 302
    return client


def prove(client: Client) -> None:
    """allauth asks for a proof, again, before it changes how one logs in."""
    assert client.post("/reauthenticate", {"password": PASSWORD}).status_code == 302


def is_in(client: Client) -> bool:
    return client.get("/dashboard").status_code == 200


def code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


@pytest.fixture
def secret(here: Client, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an authenticator app that is switched on."""
    prove(here)
    page = here.get("/settings/factors/app").content.decode()
    found = re.search(r"text-base-content\">([A-Z2-7]+)<", page)
    assert found
    # The test's transaction is never committed, and allauth tells of the change once it is.
    monkeypatch.setattr(transaction, "on_commit", lambda call: call())
    response = here.post("/settings/factors/app", {"code": code(found[1])})
    assert response["Location"] == "/settings/factors/codes"
    return found[1]


# E-mail and password


def test_the_address_changes_once_it_is_confirmed(here: Client, alice: User) -> None:
    prove(here)
    here.post("/settings/email", {"email": "Alice@New.example", "action_add": ""})
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    assert mail.outbox[-1].to == ["alice@new.example"]
    found = re.search(r"https://turnpike\.example(/confirm-email/\S+)", str(mail.outbox[-1].body))
    assert found
    here.post(found[1])
    alice.refresh_from_db()
    assert alice.email == "alice@new.example"
    assert AuditEvent.objects.get(verb="secure").details["what"] == "email changed"
    assert ["alice@example.com"] in [message.to for message in mail.outbox]


def test_another_users_address_is_not_taken(here: Client, alice: User) -> None:
    bob = User.objects.create_user("bob@example.com")
    EmailAddress.objects.create(user=bob, email=bob.email, verified=True, primary=True)
    prove(here)
    here.post("/settings/email", {"email": "bob@example.com", "action_add": ""})
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    assert not EmailAddress.objects.filter(user=alice, email="bob@example.com", verified=True).exists()


def test_a_new_password_ends_other_sessions(here: Client, alice: User) -> None:
    other = logged_in()
    fields = {"oldpassword": PASSWORD, "password1": "lantern-corridor-43", "password2": "lantern-corridor-43"}
    assert here.post("/settings/password", fields).status_code == 302
    assert is_in(here)
    assert not is_in(other)
    assert AuditEvent.objects.get().verb == "set_password"
    assert "password has been changed" in str(mail.outbox[-1].body)
    assert "127.0.0.1" in str(mail.outbox[-1].body)


@pytest.mark.parametrize(
    "fields",
    [
        {"oldpassword": "wrong", "password1": "lantern-corridor-43", "password2": "lantern-corridor-43"},
        {"oldpassword": PASSWORD, "password1": "short", "password2": "short"},
        {"oldpassword": PASSWORD, "password1": "lantern-corridor-43", "password2": "another-one-44"},
    ],
)
def test_a_wrong_change_changes_nothing(here: Client, alice: User, fields: dict[str, str]) -> None:
    assert "field-error" in here.post("/settings/password", fields).content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


# Second factors


def test_the_app_is_asked_for_at_log_in(secret: str) -> None:
    client = logged_in()
    assert not is_in(client)
    assert "recovery codes" in client.get("/login/factor").content.decode()
    client.post("/login/factor", {"code": "000000"})
    assert not is_in(client)
    cache.clear()
    client.post("/login/factor", {"code": fresh(secret)})
    assert is_in(client)


def fresh(secret: str) -> str:
    """A code that was not used yet: allauth takes each once."""
    cache.clear()
    return code(secret)


def test_a_recovery_code_works_once(secret: str, here: Client) -> None:
    page = here.get("/settings/factors/codes").content.decode()
    found = re.search(r'aria-label="Recovery codes">(\w+)', page)
    assert found
    for expected in (True, False):
        client = logged_in()
        client.post("/login/factor", {"code": found[1]})
        assert is_in(client) == expected


def test_secrets_are_encrypted_and_told_of(secret: str, alice: User) -> None:
    stored = Authenticator.objects.get(user=alice, type=Authenticator.Type.TOTP).data
    assert secret not in str(stored)
    codes = Authenticator.objects.get(user=alice, type=Authenticator.Type.RECOVERY_CODES).data
    assert re.search(r"^\w+:", str(codes["seed"]))
    assert "totp activated" in [event.details.get("what") for event in AuditEvent.objects.all()]
    assert any("alice@example.com" in message.to for message in mail.outbox)


def test_a_proof_is_asked_for_before_a_factor_changes(secret: str, here: Client, settings: Any) -> None:
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    for path in ("/settings/factors/app/off", "/settings/factors/codes", "/settings/factors/passkeys/new"):
        assert here.get(path)["Location"].startswith("/reauthenticate")


def test_the_admins_form_is_not_a_way_around(secret: str, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    response = client.post("/admin/login/", {"username": "alice@example.com", "password": PASSWORD})
    assert "second factor" in response.content.decode()
    assert client.get("/admin/")["Location"].startswith("/admin/login/")


def test_an_operator_without_one_logs_in_there(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    client.post("/admin/login/?next=/admin/", {"username": "alice@example.com", "password": PASSWORD})
    assert client.get("/admin/").status_code == 200


def test_a_passkey_belongs_to_the_public_name(here: Client) -> None:
    prove(here)
    page = here.get("/settings/factors/passkeys/new", headers={"host": "evil.example"}).content.decode()
    assert '"id": "turnpike.example"' in page
    assert "evil.example" not in page


# Sessions


def test_sessions_are_listed_and_ended_from_afar(here: Client, alice: User) -> None:
    other = logged_in(HTTP_USER_AGENT="Elsewhere/1.0", REMOTE_ADDR="192.0.2.9")
    page = here.get("/settings/sessions").content.decode()
    assert "Elsewhere/1.0" in page
    assert "192.0.2.9" in page
    row = UserSession.objects.get(user_agent="Elsewhere/1.0")
    assert here.post("/settings/sessions", {"session": row.pk}).status_code == 302
    assert not is_in(other)
    assert is_in(here)


def test_all_other_sessions_end_at_once(here: Client, alice: User) -> None:
    others = [logged_in(), logged_in()]
    here.post("/settings/sessions")
    assert [is_in(client) for client in (here, *others)] == [True, False, False]


def test_nobody_ends_anothers_session(here: Client, alice: User) -> None:
    bob = User.objects.create_user("bob@example.com", PASSWORD)
    EmailAddress.objects.create(user=bob, email=bob.email, verified=True, primary=True)
    theirs = logged_in("bob@example.com")
    row = UserSession.objects.get(user=bob)
    assert here.post("/settings/sessions", {"session": row.pk}).status_code == 404
    assert is_in(theirs)


def test_on_a_unix_socket_one_logs_in_too(alice: User) -> None:
    assert is_in(logged_in(REMOTE_ADDR=""))
