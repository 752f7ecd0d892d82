"""Every URL as anonymous, Alice, Bob, Charlie, an operator and each role; a new one fails until it is named here."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts import keys, organizations
from accounts.ids import uuid7
from accounts.models import Membership, Organization, User
from accounts.roles import MATRIX, Right
from billing.generations import public_id
from billing.models import Generation
from billing.payments.fulfilment import credit
from billing.payments.models import TopUp
from gateway.api import inference_urls
from gateway.api import urls as api_urls
from gateway.pages import invitations
from providers.importer import import_catalogue
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

Role = Membership.Role

# Status of a GET by anonymous, Alice (owner), Bob (developer), Charlie (in none of hers).
EVERYBODY = (200, 200, 200, 200)
LOGGED_IN = (302, 200, 200, 200)
MEMBERS = (302, 200, 200, 404)
POST_ONLY = (302, 405, 405, 405)
# allauth sends those who are logged in to their dashboard.
LOGGED_OUT = (200, 302, 302, 302)
# A proof of who one is, or another page, comes first.
AGAIN = (302, 302, 302, 302)
# Nobody here has a second factor.
NOWHERE = (302, 404, 404, 404)
PAGES: dict[str, tuple[int, int, int, int]] = {
    "home": EVERYBODY,
    "openapi-json": EVERYBODY,
    "openapi-yaml": EVERYBODY,
    "api-docs": EVERYBODY,
    "webhook-stripe": (405, 405, 405, 405),
    # Without a callback the link is wrong.
    "authorize": (302, 400, 400, 400),
    "page-models": EVERYBODY,
    "page-model": EVERYBODY,
    "page-compare": EVERYBODY,
    "page-rankings": EVERYBODY,
    "page-providers": EVERYBODY,
    "page-provider": EVERYBODY,
    "page-status": EVERYBODY,
    "dashboard": LOGGED_IN,
    "choose-organization": POST_ONLY,
    "end-look": POST_ONLY,
    "first-request": LOGGED_IN,
    "page-activity": LOGGED_IN,
    "page-activity-csv": LOGGED_IN,
    "page-logs": LOGGED_IN,
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
    "page-keys": LOGGED_IN,
    "page-key-new": LOGGED_IN,
    "page-key": MEMBERS,
    "page-key-delete": POST_ONLY,
    "page-key-quick": POST_ONLY,
    "page-playground": EVERYBODY,
    "visitor-key": (405, 405, 405, 405),
    "playground-key": POST_ONLY,
    "page-budgets": LOGGED_IN,
    "page-budget": POST_ONLY,
    "page-key-routing": MEMBERS,
    "page-routing": LOGGED_IN,
    "page-organization": LOGGED_IN,
    "page-organization-new": LOGGED_IN,
    "page-hand-over": POST_ONLY,
    "page-leave": POST_ONLY,
    "page-members": LOGGED_IN,
    "page-member": POST_ONLY,
    "page-member-remove": POST_ONLY,
    "page-invitation-withdraw": POST_ONLY,
    # Charlie looks at his own organization's.
    "page-audit": (302, 200, 403, 200),
    "page-notifications": LOGGED_IN,
    "page-sessions": LOGGED_IN,
    "page-invitation": EVERYBODY,
    "account_login": LOGGED_OUT,
    "account_signup": LOGGED_OUT,
    "account_logout": LOGGED_IN,
    "account_inactive": EVERYBODY,
    "account_email_verification_sent": EVERYBODY,
    "account_confirm_email": EVERYBODY,
    "account_reset_password": EVERYBODY,
    "account_reset_password_done": EVERYBODY,
    "account_reset_password_from_key": EVERYBODY,
    "account_reset_password_from_key_done": EVERYBODY,
    "account_reauthenticate": LOGGED_IN,
    "account_email": LOGGED_IN,
    "account_change_password": LOGGED_IN,
    "account_set_password": AGAIN,
    "mfa_index": LOGGED_IN,
    "mfa_authenticate": AGAIN,
    "mfa_login_webauthn": AGAIN,
    "mfa_reauthenticate": AGAIN,
    "mfa_reauthenticate_webauthn": AGAIN,
    "mfa_list_webauthn": LOGGED_IN,
    "mfa_edit_webauthn": AGAIN,
    "mfa_remove_webauthn": AGAIN,
    "mfa_add_webauthn": AGAIN,
    "mfa_activate_totp": AGAIN,
    "mfa_deactivate_totp": NOWHERE,
    "mfa_view_recovery_codes": NOWHERE,
    "mfa_generate_recovery_codes": AGAIN,
    "mfa_download_recovery_codes": NOWHERE,
}
# What a POST to a form of the organization needs. Everything else is the user's own, or open to all members.
FORMS: dict[str, Right] = {
    "page-key-new": Right.MAKE_KEYS,
    "page-key-quick": Right.MAKE_KEYS,
    "playground-key": Right.MAKE_KEYS,
    "page-budget": Right.SET_BUDGETS,
    "page-key": Right.MANAGE_KEYS,
    "page-key-delete": Right.MANAGE_KEYS,
    "page-buy": Right.PAY,
    "page-card": Right.PAY,
    "page-card-remove": Right.PAY,
    "page-automatic": Right.PAY,
    "page-alert": Right.PAY,
    "page-redeem": Right.PAY,
    "page-organization": Right.SET_UP,
    "page-routing": Right.SET_UP,
    "page-key-routing": Right.SET_UP,
    "page-hand-over": Right.OWN,
    "page-members": Right.MANAGE_MEMBERS,
    "page-member": Right.MANAGE_MEMBERS,
    "page-member-remove": Right.MANAGE_MEMBERS,
    "page-invitation-withdraw": Right.MANAGE_MEMBERS,
}
# Pages that are not for every role to look at.
LOOKS: dict[str, Right] = {
    "page-key-new": Right.MAKE_KEYS,
    "page-playground": Right.MAKE_KEYS,
    "page-audit": Right.AUDIT,
}
# POST-only forms of the user's own, whatever their role.
OWN_FORMS = {"choose-organization", "page-leave", "end-look"}
# Of the API, what needs no key. A browser's session opens nothing of it.
PUBLIC_API = {
    *("models", "models-count", "model", "model-endpoints", "embedding-models", "zdr-endpoints", "providers"),
    # The code is the authentication (test_oauth.py).
    "auth-keys",
}


def user(email: str) -> User:
    return User.objects.create_user(email, "corridor-lantern-42")


@pytest.fixture
def alice(db: None) -> User:
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")
    return user("alice@example.com")


@pytest.fixture
def acme(alice: User) -> Organization:
    return organizations.found("Acme", alice)


def browser(who: User, organization: Organization) -> Client:
    client = Client()
    client.force_login(who)
    client.post("/organization", {"organization": str(organization.pk)})
    return client


def member(organization: Organization, role: Membership.Role) -> Client:
    new = user(f"{role}-{organization.pk.hex[-6:]}@example.com")
    Membership.objects.create(organization=organization, user=new, role=role)
    return browser(new, organization)


@pytest.fixture
def browsers(alice: User, acme: Organization) -> list[Client]:
    charlie = user("charlie@example.com")
    return [Client(), browser(alice, acme), member(acme, Role.DEVELOPER), browser(charlie, acme)]


@pytest.fixture
def arguments(alice: User, acme: Organization) -> dict[str, dict[str, Any]]:
    """What the paths of these names are filled with: rows of Alice's organization, and hers."""
    key, _ = keys.issue(acme, name="laptop", created_by=alice)
    row = Generation.objects.create(
        id=uuid7(), organization_id=acme.pk, outcome="ok", created_at=key.created_at, closed_at=key.created_at
    )
    dave = user("dave@example.com")
    other = Membership.objects.create(organization=acme, user=dave, role=Role.VIEWER)
    invited = organizations.invite(acme, email="eve@example.com", role=Role.VIEWER, invited_by=alice)
    passkey = Authenticator.objects.create(user=dave, type=Authenticator.Type.WEBAUTHN, data={"name": "Laptop"})
    top_up = TopUp.objects.create(organization=acme, source="checkout", credit_cents=1000)
    credit(top_up, intent="pi_1", cents=1000, currency="usd")
    return {
        "page-top-up": {"id": str(top_up.pk)},
        "page-receipt": {"id": str(top_up.pk)},
        "page-card-left": {"session": "cs_1"},
        "page-model": {"slug": "acme/one"},
        "page-provider": {"slug": "primary"},
        "page-generation": {"public": public_id(row.id)},
        "page-key": {"hash": key.hash},
        "page-key-delete": {"hash": key.hash},
        "page-key-routing": {"hash": key.hash},
        "page-member": {"pk": other.pk},
        "page-member-remove": {"pk": other.pk},
        "page-invitation-withdraw": {"pk": invited.pk},
        "page-invitation": {"token": invitations.organization_link(invited).rsplit("/", 1)[-1]},
        "account_confirm_email": {"key": "wrong"},
        "account_reset_password_from_key": {"uidb36": "1", "key": "wrong"},
        "mfa_edit_webauthn": {"pk": passkey.pk},
        "mfa_remove_webauthn": {"pk": passkey.pk},
        "model": {"author": "acme", "slug": "one"},
        "model-endpoints": {"author": "acme", "slug": "one"},
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


def test_every_form_says_which_right_it_needs() -> None:
    forms = {name for name, statuses in PAGES.items() if statuses == POST_ONLY}
    assert forms - OWN_FORMS <= set(FORMS)
    assert set(MATRIX) == set(Right)


def test_pages(browsers: list[Client], arguments: dict[str, dict[str, Any]]) -> None:
    found = {}
    for name in PAGES:
        path = reverse(name, kwargs=arguments.get(name))
        found[name] = tuple(client.get(path).status_code for client in browsers)
    assert found == PAGES


@pytest.mark.parametrize("role", Role)
def test_each_role_sees_what_the_matrix_says(
    role: Membership.Role, acme: Organization, arguments: dict[str, dict[str, Any]]
) -> None:
    client = member(acme, role)
    for name, statuses in PAGES.items():
        if statuses in (LOGGED_IN, MEMBERS) or name in LOOKS:
            path = reverse(name, kwargs=arguments.get(name))
            expected = 200 if role in MATRIX[LOOKS.get(name, Right.LOOK)] else 403
            assert client.get(path).status_code == expected, f"{role} {path}"


@pytest.mark.parametrize("role", Role)
def test_each_role_does_what_the_matrix_says(
    role: Membership.Role, acme: Organization, arguments: dict[str, dict[str, Any]]
) -> None:
    client = member(acme, role)
    # What hands over or removes comes last: the others need it still.
    for name, right in sorted(FORMS.items(), key=lambda item: item[1] == Right.OWN):
        refused = client.post(reverse(name, kwargs=arguments.get(name)), {"role": "viewer"}).status_code == 403
        assert refused == (role not in MATRIX[right]), f"{role} {name}"


def test_outsiders_change_nothing(browsers: list[Client], arguments: dict[str, dict[str, Any]]) -> None:
    anonymous, *_, charlie = browsers
    for name in ("page-key", "page-key-delete", "page-member", "page-member-remove", "page-invitation-withdraw"):
        path = reverse(name, kwargs=arguments[name])
        assert anonymous.post(path)["Location"].startswith("/login")
        assert charlie.post(path, {"name": "x", "role": "owner"}).status_code == 404, path


def test_a_passkey_is_its_owners_alone(browsers: list[Client], arguments: dict[str, dict[str, Any]]) -> None:
    for client in browsers[1:]:
        client.post("/reauthenticate", {"password": "corridor-lantern-42"})
        for name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
            assert client.get(reverse(name, kwargs=arguments[name])).status_code == 404


def test_a_session_opens_nothing_of_the_api(browsers: list[Client], arguments: dict[str, dict[str, Any]]) -> None:
    for name in sorted(API - PUBLIC_API):
        path = reverse(name, kwargs=arguments.get(name))
        assert {client.get(path).status_code for client in browsers} <= {401, 405}, path
        assert {client.post(path).status_code for client in browsers} <= {401, 405}, path


def test_the_lean_paths_are_no_pages(browsers: list[Client]) -> None:
    """Inference and health are served before Django's own URLs, which know none of them."""
    for pattern in inference_urls.urlpatterns:
        assert {client.get(f"/{pattern.pattern}").status_code for client in browsers} == {404}


def test_forms_want_their_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    for name, statuses in PAGES.items():
        if statuses in (POST_ONLY, LOGGED_OUT) and name not in ("page-key-delete",):
            kwargs = {"pk": 1} if name in ("page-member", "page-member-remove", "page-invitation-withdraw") else None
            response = client.post(reverse(name, kwargs=kwargs))
            assert response.status_code == 403, name
            assert "too old" in response.content.decode()


# The admin

SITE = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def rows(arguments: dict[str, dict[str, Any]]) -> None:
    """Something to open in as many lists as Alice's organization and the catalogue fill."""


def admin_paths(model: type[Model]) -> Iterator[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"{name}_changelist")
    yield reverse(f"{name}_add")
    if row := model._default_manager.first():
        yield reverse(f"{name}_change", args=[row.pk])
        yield reverse(f"{name}_history", args=[row.pk])
        yield reverse(f"{name}_delete", args=[row.pk])


def test_the_admin_is_for_staff(browsers: list[Client], rows: None) -> None:
    for path in (path for model in SITE for path in admin_paths(model)):
        for client in browsers:
            assert client.get(path)["Location"].startswith("/admin/login/"), path
            assert client.post(path)["Location"].startswith("/admin/login/"), path


def test_the_admin_opens_for_an_operator(client: Client, rows: None) -> None:
    client.force_login(User.objects.create_superuser("root@example.com"))
    for path in (path for model in SITE for path in admin_paths(model)):
        # What is read-only refuses adding and deleting; nothing fails.
        is_form = path.endswith(("/add/", "/delete/"))
        assert client.get(path).status_code in ({200, 403} if is_form else {200}), path


def test_staff_without_rights_open_nothing_of_it(client: Client, rows: None) -> None:
    client.force_login(User.objects.create_user("staff@example.com", is_staff=True))
    for model in SITE:
        for path in admin_paths(model):
            assert client.get(path).status_code == 403, path


@pytest.mark.parametrize("path", ["/admin/", "/admin/password_change/", "/admin/jsi18n/", "/admin/nowhere/"])
def test_the_admins_own_pages_are_for_staff(path: str, browsers: list[Client]) -> None:
    for client in browsers:
        assert client.get(path).status_code in (302, 404)
