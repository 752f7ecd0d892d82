"""An operator looks at an organization: its pages with a banner, on record, and not one write, whatever is posted."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, path, reverse

from accounts import keys, organizations
from accounts.models import ApiKey, AuditEvent, Membership, Organization, User
from gateway import urls
from providers.importer import import_catalogue
from tests.gateway.conftest import catalogue

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("at_ease")]

BANNER = "You look at"
# Written by looking itself.
OWN = {"accounts.AuditEvent", "sessions.Session"}
FILLED = {"slug": "acme/one", "hash": "0" * 64, "pk": 1, "id": "019c0000-0000-7000-8000-000000000000"}


@pytest.fixture
def acme(db: None) -> Organization:
    import_catalogue(catalogue("http://127.0.0.1:9/v1"), source="test")
    alice = User.objects.create_user("alice@example.com")
    found = organizations.found("Acme", alice)
    keys.issue(found, name="production", created_by=alice)
    return found


@pytest.fixture
def root(client: Client, acme: Organization) -> Client:
    """In the midst of looking."""
    client.force_login(User.objects.create_superuser("root@example.com"))
    response = client.post(f"/admin/accounts/organization/{acme.pk}/look/", {"reason": "Ticket 7"})
    assert response["Location"] == "/dashboard"
    return client


def events(**about: Any) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(**about).order_by("id"))


def test_pages_are_the_organizations_with_a_banner(root: Client, acme: Organization) -> None:
    for name in ("/dashboard", "/keys", "/logs", "/credits", "/settings/members", "/settings/organization"):
        page = root.get(name)
        assert page.status_code == 200, name
        assert BANNER in page.content.decode(), name
        assert "Acme" in page.content.decode(), name
    assert "production" in root.get("/keys").content.decode()
    # As a viewer: no audit log, no playground with its keys.
    assert {root.get(name).status_code for name in ("/settings/audit", "/chat", "/keys/new")} == {403}
    assert not Membership.objects.filter(organization=acme, user__email="root@example.com").exists()


def paths(patterns: list[Any], before: str = "") -> Iterator[str]:
    """Of every URL there is, the admin's included, filled with something."""
    for found in patterns:
        if isinstance(found, URLResolver):
            yield from paths(found.url_patterns, before + route_of(found))
        elif isinstance(found, URLPattern):
            yield before + route_of(found)


def route_of(found: URLPattern | URLResolver) -> str:
    route = str(found.pattern)
    if "(?P" in route or route.startswith("^"):
        return route.strip("^$").split("(")[0] + "x"
    for converter in found.pattern.converters if hasattr(found.pattern, "converters") else ():
        for kind in ("uuid:", "int:", "str:", "path:", "slug:", ""):
            value = str(FILLED.get(converter, FILLED["id"] if kind == "uuid:" else "x"))
            route = route.replace(f"<{kind}{converter}>", FILLED["id"] if kind == "uuid:" else value)  # type: ignore[arg-type]
    return route


def every_path() -> list[str]:
    found = sorted({f"/{one}" for one in paths(get_resolver().url_patterns)})
    assert len(found) > 250
    return found


def rows() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


def test_no_post_of_any_url_writes(root: Client, acme: Organization) -> None:
    before = rows()
    key = ApiKey.objects.get()
    real = [f"/keys/{key.hash}", f"/keys/{key.hash}/delete", f"/admin/accounts/organization/{acme.pk}/suspend/"]
    named = {"end-look", "account_logout", "admin:logout"}
    for url in [*every_path(), *real]:
        if url in {reverse(name) for name in named}:
            continue
        for method in ("post", "put", "patch", "delete"):
            response = getattr(root, method)(url, {"name": "x", "reason": "x"})
            assert response.status_code == 403, f"{method} {url}"
    after = rows()
    assert {name for name in after if after[name] != before.get(name)} <= OWN
    key.refresh_from_db()
    assert (key.name, key.deleted_at) == ("production", None)
    assert not Organization.objects.get(pk=acme.pk).is_suspended


def test_every_page_has_the_banner_and_writes_nothing(root: Client) -> None:
    before = rows()
    seen = 0
    for url in every_path():
        if "logout" in url or url.endswith("/look/end"):
            continue
        response = root.get(url)
        # A part of a page has no body.
        if response["Content-Type"].startswith("text/html") and b"<body" in response.content:
            seen += 1
            assert BANNER in response.content.decode(), url
    after = rows()
    assert {name for name in after if after[name] != before.get(name)} <= OWN
    assert seen > 50


def test_beginning_each_page_and_end_are_on_record(root: Client, acme: Organization) -> None:
    root.get("/keys")
    root.get("/logs?model=x")
    assert root.post("/organization/look/end")["Location"] == f"/admin/accounts/organization/{acme.pk}/change/"
    told = [(event.verb, event.details) for event in events(organization=acme)]
    assert told == [
        ("begin_look", {"reason": "Ticket 7"}),
        ("look", {"path": "/keys"}),
        ("look", {"path": "/logs"}),
        ("end_look", {"how": "ended"}),
    ]
    assert {str(event.actor) for event in events(organization=acme)} == {"root@example.com"}
    assert BANNER not in root.get("/dashboard").content.decode()
    # The organization's people read it.
    alice = Client()
    alice.force_login(User.objects.get(email="alice@example.com"))
    alice.post("/organization", {"organization": str(acme.pk)})
    assert "root@example.com" in alice.get("/settings/audit").content.decode()


def test_half_an_hour_later_it_is_over(root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 29 * 60)
    assert root.get("/keys").status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + 31 * 60)
    # A write that comes then is not done either.
    assert root.post("/keys/new", {"name": "x"}).status_code == 302
    assert events(organization=acme)[-1].details == {"how": "its time was over"}
    assert ApiKey.objects.count() == 1
    assert "production" not in root.get("/keys").content.decode()


def test_who_loses_the_right_looks_no_longer(root: Client, acme: Organization) -> None:
    User.objects.filter(email="root@example.com").update(is_superuser=False)
    assert root.get("/keys").status_code == 302
    assert "production" not in root.get("/keys").content.decode()


def test_the_right_is_one_of_its_own(client: Client, acme: Organization) -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_organization", "change_organization"]))
    client.force_login(staff)
    page = f"/admin/accounts/organization/{acme.pk}/look/"
    assert client.post(page, {"reason": "x"}).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="look_as_organization"))
    assert client.post(page, {"reason": ""}).status_code == 200
    assert client.post(page, {"reason": "x"})["Location"] == "/dashboard"


def test_logging_out_ends_it(root: Client, acme: Organization) -> None:
    root.post("/logout")
    assert events(organization=acme)[-1].details == {"how": "logged out"}
    assert root.get("/keys").status_code == 302


def test_a_page_that_would_write_is_refused_by_the_database(root: Client, acme: Organization, settings: Any) -> None:
    def writes(request: HttpRequest) -> HttpResponse:
        Organization.objects.filter(pk=acme.pk).update(name="Changed")
        return HttpResponse("<body>done</body>")

    settings.ROOT_URLCONF = (path("writes", writes), *urls.urlpatterns)
    response = root.get("/writes")
    assert (response.status_code, BANNER in response.content.decode()) == (403, True)
    assert "nothing can be changed" in response.content.decode()
    assert Organization.objects.get(pk=acme.pk).name == "Acme"


def test_a_key_of_the_api_in_such_a_browser_writes_nothing(root: Client) -> None:
    response = root.post("/api/v1/keys", {"name": "x"}, "application/json", HTTP_AUTHORIZATION="Bearer sk-tp-v1-x")
    assert response.status_code == 403
    assert response.json()["error"]["message"].startswith("You look at an organization")


def test_answers_of_the_api_do_not_differ_by_cookie(client: Client, acme: Organization) -> None:
    assert "Cookie" not in client.get("/api/v1/models").get("Vary", "")


def test_the_admin_of_every_kind_shows_the_banner(root: Client) -> None:
    for model in admin.site._registry:
        name = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert BANNER in root.get(name).content.decode(), name
