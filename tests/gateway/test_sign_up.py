"""Accounts in the browser: sign-up by a mailed link, log-in, password reset, invitations, limits."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts.models import AuditEvent, Membership, User
from billing.models import LedgerTransaction, Wallet
from gateway.pages import invitations, welcome
from gateway.pages.limits import View, limited

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

PASSWORD = "corridor-lantern-42"
FORMS = ["/login", "/signup", "/password/reset"]


def last_mail() -> EmailMessage:
    return mail.outbox[-1]


def link(message: EmailMessage) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https://turnpike\.example(/\S+)", str(message.body))
    assert found
    return found[1]


def sign_up(client: Client, email: str = "alice@example.com", **headers: Any) -> Any:
    return client.post("/signup", {"email": email, "password1": PASSWORD}, **headers)


def confirmed(client: Client, email: str = "alice@example.com") -> User:
    sign_up(client, email)
    client.post(link(last_mail()))
    return User.objects.get(email=email.lower())


def log_in(client: Client, email: str = "alice@example.com", password: str = PASSWORD) -> Any:
    return client.post("/login", {"login": email, "password": password})


@pytest.mark.parametrize("path", [*FORMS, "/confirm-email", "/password/reset/done", "/password/reset/key/done"])
def test_pages_open(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_a_new_user_has_a_personal_organization(client: Client) -> None:
    response = sign_up(client, "Alice@Example.com")
    assert response["Location"] == "/confirm-email"
    user = User.objects.get(email="alice@example.com")
    assert user.personal_organization.name == "alice@example.com"
    assert user.memberships.get().role == Membership.Role.OWNER


def test_nobody_is_in_before_the_link_is_followed(client: Client) -> None:
    sign_up(client)
    assert client.get("/dashboard").status_code == 302
    log_in(client)
    assert client.get("/dashboard").status_code == 302


def test_the_link_confirms_and_logs_in(client: Client) -> None:
    sign_up(client)
    path = link(last_mail())
    assert last_mail().to == ["alice@example.com"]
    assert "alice@example.com" in client.get(path).content.decode()
    assert client.post(path)["Location"] == "/dashboard"
    assert client.get("/dashboard").status_code == 200


def test_a_wrong_link_says_so(client: Client) -> None:
    assert "too old" in client.get("/confirm-email/wrong").content.decode()


def test_links_lead_to_the_public_url_whatever_the_host(client: Client) -> None:
    confirmed(Client())
    mail.outbox.clear()
    cache.clear()  # one mail to an address in three minutes
    sign_up(Client(), "bob@example.com", headers={"host": "evil.example"})
    client.post("/password/reset", {"email": "alice@example.com"}, headers={"host": "evil.example"})
    sign_up(Client(), headers={"host": "evil.example"})
    client.post("/password/reset", {"email": "nobody@example.com"}, headers={"host": "evil.example"})
    assert len(mail.outbox) == 4
    for message in mail.outbox:
        assert "evil.example" not in str(message.body) + str(message.subject)
        assert link(message)


def test_whether_an_account_exists_is_told_by_mail_only(client: Client) -> None:
    confirmed(Client())
    known, unknown = sign_up(client), sign_up(Client(), "new@example.com")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert User.objects.filter(email="alice@example.com").count() == 1


def test_log_in_and_out(client: Client) -> None:
    confirmed(Client())
    assert log_in(client, "ALICE@example.com")["Location"] == "/dashboard"
    assert client.post("/logout")["Location"] == "/"
    assert client.get("/dashboard").status_code == 302
    assert log_in(client, password="wrong").status_code == 200


def test_log_in_does_not_redirect_elsewhere(client: Client) -> None:
    confirmed(Client())
    data = {"login": "alice@example.com", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/login", data)["Location"] == "/dashboard"


def test_password_is_reset_by_a_mailed_link(client: Client) -> None:
    confirmed(Client())
    client.post("/password/reset", {"email": "alice@example.com"})
    path = client.get(link(last_mail()))["Location"]
    assert client.get(path).status_code == 200
    assert client.post(path, {"password1": "another-lantern-43", "password2": "another-lantern-43"}).status_code == 302
    assert log_in(client).status_code == 200
    assert log_in(client, password="another-lantern-43")["Location"] == "/dashboard"


def test_a_weak_password_is_refused(client: Client) -> None:
    response = client.post("/signup", {"email": "alice@example.com", "password1": "password"})
    assert response.status_code == 200
    assert "field-error" in response.content.decode()
    assert not User.objects.exists()


def test_closed_takes_nobody(client: Client, settings: Any) -> None:
    settings.SIGNUP = "closed"
    assert "closed" in client.get("/signup").content.decode()
    sign_up(client)
    assert not User.objects.exists()


def test_an_invitation_is_for_one_address(client: Client, settings: Any) -> None:
    settings.SIGNUP = "invite"
    sign_up(client)
    assert not User.objects.exists()
    path = invitations.link("Alice@example.com").removeprefix("https://turnpike.example")
    assert client.get(path).status_code == 200
    sign_up(client, "mallory@example.com")
    assert not User.objects.exists()
    sign_up(client)
    assert User.objects.get().email == "alice@example.com"


def test_a_made_up_invitation_is_none(client: Client, settings: Any) -> None:
    settings.SIGNUP = "invite"
    assert "closed" in client.get("/signup?invitation=x:y:z").content.decode()


def test_sign_up_credit_is_granted_once_and_after_confirmation(client: Client, settings: Any) -> None:
    settings.SIGNUP_CREDIT_NANO = 2_500_000_001
    sign_up(client)
    assert not Wallet.objects.exists()
    client.post(link(last_mail()))
    user = User.objects.get()
    request = RequestFactory().get("/")
    request.user = user
    welcome.give_credit(request, user)
    assert Wallet.objects.get(organization=user.personal_organization).credit == 2_500_000_001
    assert LedgerTransaction.objects.get().reference == f"signup:{user.pk}"
    assert "$2.500000001" in client.get("/dashboard").content.decode()
    event = AuditEvent.objects.get(verb="grant")
    assert event.organization == user.personal_organization
    assert event.details == {"amount_usd": "2.500000001", "reason": "Sign-up credit", "user": "alice@example.com"}


def test_without_sign_up_credit_nothing_is_posted(client: Client) -> None:
    confirmed(client)
    assert not LedgerTransaction.objects.exists()


def test_guessing_at_one_account_is_slowed_down_from_anywhere(client: Client) -> None:
    confirmed(Client())
    codes = [
        client.post("/login", {"login": "alice@example.com", "password": "x"}, REMOTE_ADDR=f"10.0.0.{n}")
        for n in range(12)
    ]
    assert codes[0].status_code == 200
    assert codes[-1].status_code == 429
    assert codes[-1]["Retry-After"] == "60"


def test_the_admins_form_counts_too(client: Client) -> None:
    wrong = {"username": "alice@example.com", "password": "x"}
    codes = [client.post("/admin/login/", wrong, REMOTE_ADDR=f"10.0.1.{n}").status_code for n in range(11)]
    assert (codes[0], codes[-1]) == (200, 429)
    assert log_in(client).status_code == 429


def test_limits_count_by_address(rf: Any) -> None:
    view: View = limited("test", address="2/h")(lambda request: HttpResponse())
    post = [view(with_nobody(rf.post("/", REMOTE_ADDR=a))).status_code for a in ("10.0.0.1",) * 3 + ("10.0.0.2",)]
    assert post == [200, 200, 429, 200]


def test_without_redis_log_in_says_try_again(client: Client, settings: Any) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "unix:///nonexistent/sock"}
    }
    assert log_in(client).status_code == 503
    assert client.get("/").status_code == 200


def with_nobody(request: Any) -> Any:
    request.user = AnonymousUser()
    return request
