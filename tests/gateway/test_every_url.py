"""Every URL as anonymous, Alice, Bob (member) and Charlie (outsider); a new one fails until it is named here."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts import keys
from accounts.ids import uuid7
from accounts.models import Membership, User
from billing.generations import public_id
from billing.models import Generation
from billing.payments.fulfilment import credit
from billing.payments.models import TopUp
from gateway.api import urls as api_urls
from providers.importer import import_catalogue
from tests.gateway.conftest import catalogue

pytestmark = pytest.mark.django_db

# Status of a GET by anonymous, Alice, Bob, Charlie.
EVERYBODY = (200, 200, 200, 200)
LOGGED_IN = (302, 200, 200, 200)
MEMBERS = (302, 200, 200, 404)
POST_ONLY = (302, 405, 405, 405)
# allauth sends those who are logged in to their dashboard.
LOGGED_OUT = (200, 302, 302, 302)
PAGES: dict[str, tuple[int, int, int, int]] = {
    "home": EVERYBODY,
    "openapi-json": EVERYBODY,
    "openapi-yaml": EVERYBODY,
    "api-docs": EVERYBODY,
    "page-models": EVERYBODY,
    "page-model": EVERYBODY,
    "dashboard": LOGGED_IN,
    "choose-organization": POST_ONLY,
    # Without a callback the link is wrong.
    "authorize": (302, 400, 400, 400),
    "page-activity": LOGGED_IN,
    "page-generation": MEMBERS,
    "page-credits": LOGGED_IN,
    "page-buy": POST_ONLY,
    "page-top-up": (302, 302, 302, 404),
    "page-receipt": MEMBERS,
    "page-card": POST_ONLY,
    "page-card-remove": POST_ONLY,
    # Without Stripe there is nothing to come back from.
    "page-card-left": (302, 404, 404, 404),
    "page-automatic": POST_ONLY,
    "page-alert": POST_ONLY,
    "page-redeem": POST_ONLY,
    "page-transactions-csv": LOGGED_IN,
    "page-usage-csv": LOGGED_IN,
    "webhook-stripe": (405, 405, 405, 405),
    "page-keys": LOGGED_IN,
    "page-key-new": LOGGED_IN,
    "page-key": MEMBERS,
    "page-key-delete": POST_ONLY,
    "account_login": LOGGED_OUT,
    "account_signup": LOGGED_OUT,
    "account_logout": (302, 200, 200, 200),
    "account_inactive": EVERYBODY,
    "account_email_verification_sent": EVERYBODY,
    "account_confirm_email": EVERYBODY,
    "account_reset_password": EVERYBODY,
    "account_reset_password_done": EVERYBODY,
    "account_reset_password_from_key": EVERYBODY,
    "account_reset_password_from_key_done": EVERYBODY,
}
# Of the API, what needs no key. A browser's session opens nothing of it.
PUBLIC_API = {
    "models",
    "models-count",
    "model",
    "model-endpoints",
    "embedding-models",
    "zdr-endpoints",
    "providers",
    # The code is the authentication (test_oauth.py).
    "auth-keys",
}
POST_API = {"auth-code"}


@pytest.fixture
def alice(db: None) -> User:
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def browsers(alice: User) -> list[Client]:
    cache.clear()
    bob = User.objects.create_user("bob@example.com")
    organization = alice.personal_organization
    Membership.objects.create(organization=organization, user=bob, role=Membership.Role.DEVELOPER)
    charlie = User.objects.create_user("charlie@example.com")
    found = [Client()]
    for user in (alice, bob, charlie):
        client = Client()
        client.force_login(user)
        client.post("/organization", {"organization": str(organization.pk)})
        found.append(client)
    return found


@pytest.fixture
def arguments(alice: User) -> dict[str, dict[str, str]]:
    """What the paths of these names are filled with: rows of Alice's organization."""
    organization = alice.personal_organization
    key, _ = keys.issue(organization, name="laptop", created_by=alice)
    row = Generation.objects.create(
        id=uuid7(), organization_id=organization.pk, outcome="ok", created_at=key.created_at, closed_at=key.created_at
    )
    top_up = TopUp.objects.create(organization=organization, source="checkout", credit_cents=1000)
    credit(top_up, intent="pi_1", cents=1000, currency="usd")
    return {
        "page-top-up": {"id": str(top_up.pk)},
        "page-receipt": {"id": str(top_up.pk)},
        "page-card-left": {"session": "cs_1"},
        "page-model": {"slug": "acme/one"},
        "page-generation": {"public": public_id(row.id)},
        "page-key": {"hash": key.hash},
        "page-key-delete": {"hash": key.hash},
        "account_confirm_email": {"key": "wrong"},
        "account_reset_password_from_key": {"uidb36": "1", "key": "wrong"},
        "model-endpoints": {"author": "acme", "slug": "one"},
        "model": {"author": "acme", "slug": "one"},
        "key-detail": {"hash": key.hash},
    }


def names(patterns: list[Any]) -> Iterator[str]:
    """Of all URLs but the admin's."""
    for found in patterns:
        if isinstance(found, URLPattern):
            assert found.name, f"{found.pattern} has no name"
            yield found.name
        elif isinstance(found, URLResolver) and found.namespace != "admin":
            yield from names(found.url_patterns)


API = set(names(api_urls.urlpatterns))


def test_every_url_is_walked() -> None:
    assert set(names(get_resolver().url_patterns)) - API == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, browsers: list[Client], arguments: dict[str, dict[str, str]]) -> None:
    path = reverse(name, kwargs=arguments.get(name))
    assert tuple(client.get(path).status_code for client in browsers) == PAGES[name], path


@pytest.mark.parametrize("name", sorted(API - PUBLIC_API))
def test_a_session_opens_nothing_of_the_api(
    name: str, browsers: list[Client], arguments: dict[str, dict[str, str]]
) -> None:
    path = reverse(name, kwargs=arguments.get(name))
    expected = {405} if name in POST_API else {401}
    assert {client.get(path).status_code for client in browsers} == expected
    assert {client.post(path).status_code for client in browsers} <= {401, 405}


def test_nobody_changes_what_is_not_theirs(browsers: list[Client], arguments: dict[str, dict[str, str]]) -> None:
    anonymous, _, bob, charlie = browsers
    for name in ("page-key", "page-key-delete"):
        path = reverse(name, kwargs=arguments[name])
        assert anonymous.post(path)["Location"].startswith("/login")
        assert bob.post(path, {"name": "x"}).status_code == 403
        assert charlie.post(path, {"name": "x"}).status_code == 404


def test_only_some_may_pay(browsers: list[Client]) -> None:
    """Bob develops; Charlie's session is about an organization of their own."""
    anonymous, alice, bob, _ = browsers
    for name in ("page-buy", "page-card", "page-card-remove", "page-automatic", "page-alert", "page-redeem"):
        assert anonymous.post(reverse(name))["Location"].startswith("/login")
        assert bob.post(reverse(name)).status_code == 403
        assert alice.post(reverse(name)).status_code in (200, 302)


def test_the_admin_is_for_staff(browsers: list[Client]) -> None:
    for client in browsers:
        for path in ("/admin/", "/admin/accounts/user/", "/admin/billing/wallet/", "/admin/nowhere/"):
            assert client.get(path)["Location"].startswith("/admin/login/")


def test_forms_want_their_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    for name in ("page-key-new", "choose-organization", "account_logout", "account_login", "account_signup"):
        response = client.post(reverse(name))
        assert response.status_code == 403
        assert "too old" in response.content.decode()
