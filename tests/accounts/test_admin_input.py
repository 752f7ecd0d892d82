"""Whatever stands in an address or a form of the admin: an answer below 500."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Field, ForeignObjectRel, Model
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.accounts.test_admin_queries import fill

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

SITE = sorted(admin.site._registry, key=lambda model: model._meta.label)
BAD = ("x", "\0", "9" * 40)
LOOKUPS = ("", "__exact", "__id__exact")
QUERIES = (
    *({"o": bad} for bad in ("99", "x.1", "-")),
    *({"p": bad} for bad in ("9999", "x")),
    *({name: "x"} for name in ("e", "_to_field", "nowhere", "pk__in")),
    *({"q": bad} for bad in (BAD[1], "é'\"%", "gen-1-x")),
    *({name: bad} for name in ("pk", "id__exact") for bad in BAD),
)


@pytest.fixture
def root(client: Client) -> Client:
    fill(range(2))
    client.raise_request_exception = False
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def page(model: type[Model], name: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def filters(model: type[Model]) -> Iterator[dict[str, str]]:
    for found in admin.site._registry[model].list_filter:
        name = found[0] if isinstance(found, tuple) else getattr(found, "parameter_name", found)
        for lookup in LOOKUPS:
            for bad in BAD:
                yield {f"{name}{lookup}": bad}


def fields(model: type[Model]) -> list[str]:
    return [field.name for field in model._meta.get_fields() if not isinstance(field, ForeignObjectRel)]


def failed(client: Client, path: str, asked: Any, method: str = "get") -> list[tuple[str, Any, str]]:
    response = getattr(client, method)(path, asked)
    return [(path, asked, repr(response.exc_info[1]))] if response.status_code >= 500 else []


@pytest.mark.parametrize("model", SITE, ids=lambda model: model._meta.label)
def test_lists(root: Client, model: type[Model]) -> None:
    path = page(model, "changelist")
    assert [one for asked in (*QUERIES, *filters(model)) for one in failed(root, path, asked)] == []


def test_actions_on_rows_that_are_none(root: Client) -> None:
    found = []
    for model in SITE:
        for action in ("delete_selected", *map(str, admin.site._registry[model].actions or ())):
            for bad in BAD:
                asked = {"action": action, "_selected_action": [bad], "post": "yes"}
                found += failed(root, page(model, "changelist"), asked, "post")
    assert found == []


def test_rows_that_are_none(root: Client) -> None:
    found = []
    for model in SITE:
        for name in ("change", "delete", "history"):
            for bad in ("x", "_00", "9" * 40):
                found += failed(root, page(model, name, bad), {})
    assert found == []


def test_forms_filled_with_nonsense(root: Client) -> None:
    found = []
    for model in SITE:
        pages = [page(model, "add")]
        if row := model._default_manager.order_by("pk").first():
            pages.append(page(model, "change", row.pk))
        for bad in BAD:
            asked = dict.fromkeys(fields(model), bad)
            for path in pages:
                found += failed(root, path, asked)
                found += failed(root, path, {**asked, **inlines(model, bad)}, "post")
    assert sorted({f"{path} {error}" for path, _, error in found}) == []


def inlines(model: type[Model], bad: str) -> dict[str, str]:
    """One more row beside the page's own, of each kind."""
    told = {"_save": "1", "form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": bad}
    for inline in admin.site._registry[model].inlines:
        names = [field.name for field in inline.model._meta.get_fields() if isinstance(field, Field)]
        prefix = next(
            rel.get_accessor_name() for rel in model._meta.related_objects if rel.related_model is inline.model
        )
        told |= {f"{prefix}-TOTAL_FORMS": "1", f"{prefix}-INITIAL_FORMS": "0"}
        told |= {f"{prefix}-0-{name}": bad for name in names}
    return told


def test_lists_that_are_edited(root: Client) -> None:
    found = []
    for model in SITE:
        for bad in (*BAD, ""):
            asked = {"form-TOTAL_FORMS": bad or "1", "form-INITIAL_FORMS": "1", "form-0-id": bad, "_save": "1"}
            found += failed(root, page(model, "changelist"), asked, "post")
            asked |= {"form-TOTAL_FORMS": "1", "form-0-weight": bad, "form-0-is_enabled": bad}
            found += failed(root, page(model, "changelist"), asked, "post")
    assert found == []


def test_autocomplete(root: Client) -> None:
    found = []
    asked = [
        {"app_label": "providers", "model_name": "price", "field_name": "endpoint"},
        {"app_label": "accounts", "model_name": "membership", "field_name": "user"},
        {"app_label": "accounts", "model_name": "routingpolicy", "field_name": "organization"},
        {"app_label": "accounts", "model_name": "routingpolicy", "field_name": "api_key"},
        {"app_label": "accounts", "model_name": "nowhere", "field_name": "api_key"},
    ]
    for one in asked:
        for bad in BAD:
            found += failed(root, reverse("admin:autocomplete"), {**one, "term": bad})
            found += failed(root, reverse("admin:autocomplete"), {**one, "term": "a", "page": bad})
    assert found == []


def test_a_form_that_comes_back_keeps_what_was_chosen(root: Client) -> None:
    """What cannot be chosen is left out, what can stands there again."""
    user = User.objects.get(email="user0@example.com")
    form = {"name": "", "memberships-TOTAL_FORMS": "2", "memberships-INITIAL_FORMS": "0"}
    form |= {"memberships-0-user": str(user.pk), "memberships-0-role": "owner"}
    form |= {"memberships-1-user": "x", "memberships-1-role": "owner"}
    html = root.post("/admin/accounts/organization/add/", form).content.decode()
    assert f'<option value="{user.pk}" selected>user0@example.com</option>' in html
    assert "is not a valid UUID" in html
