"""A form of the admin that is sent back as it was shown is taken, and changes nothing."""

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from accounts.models import AuditEvent, User
from providers.models import Endpoint, Price
from tests.accounts.test_admin_queries import fill

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]


class Shown(HTMLParser):
    """What a browser would send of a page's form."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self.saves = False
        self._name = ""
        self._text: list[str] | None = None
        self._options: list[tuple[str, bool]] = []
        self._is_multiple = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "input" and told.get("name") == "_save":
            self.saves = True
        elif tag == "input" and told.get("type") not in ("submit", "file", "checkbox", "radio"):
            self._add(told.get("name", ""), told.get("value", ""))
        elif tag == "input" and "checked" in told:
            self._add(told["name"], told.get("value", "on"))
        elif tag in ("textarea", "select"):
            self._name, self._text, self._options = told.get("name", ""), [], []
            self._is_multiple = "multiple" in told
        elif tag == "option":
            self._options.append((told.get("value", ""), "selected" in told))

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # The first line break is markup.
            self._add(self._name, "".join(self._text or []).removeprefix("\n"))
            self._text = None
        elif tag == "select":
            chosen = [value for value, is_chosen in self._options if is_chosen]
            first = [] if self._is_multiple else [value for value, _ in self._options[:1]]
            for value in chosen or first:
                self._add(self._name, value)
            self._text = None

    def _add(self, name: str, value: str) -> None:
        if name:
            self.sent.setdefault(name, []).append(value)


@pytest.fixture
def filled() -> None:
    fill(range(1))


def rows() -> Iterator[tuple[type[Model], str]]:
    for model in admin.site._registry:
        row = model._default_manager.order_by("pk").first()
        assert row, model
        yield model, reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])


def test_a_form_sent_back_as_it_was_shown_changes_nothing(root: Client, filled: None) -> None:
    refused, saved = {}, set()
    before = AuditEvent.objects.count()
    for model, path in rows():
        shown = Shown(root.get(path).content.decode())
        if shown.saves:
            saved.add(model)
            answer = root.post(path, {**shown.sent, "_save": "Save"})
            if answer.status_code != 302:
                refused[path] = [*answer.context["errors"]]
    assert refused == {}
    assert {Endpoint, PeriodicTask, User} <= saved
    assert [*AuditEvent.objects.order_by("pk").values("target_type", "details")[before:]] == []


def test_an_endpoint_is_saved_without_a_new_price(root: Client, filled: None) -> None:
    endpoint = Endpoint.objects.order_by("pk").first()
    assert endpoint
    path = reverse("admin:providers_endpoint_change", args=[endpoint.pk])
    prices = Price.objects.count()
    sent = Shown(root.get(path).content.decode()).sent
    assert root.post(path, {**sent, "weight": "7"}).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.weight, Price.objects.count()) == (7, prices)


@pytest.mark.parametrize("sent", [{}, {"task": "\0"}, {"regtask": "\0"}, {"task": "9" * 300}, {"regtask": "9" * 300}])
def test_a_schedule_without_a_task_is_told_so(root: Client, sent: dict[str, str]) -> None:
    answer = root.post("/admin/django_celery_beat/periodictask/add/", {"name": "nightly", **sent})
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert {"task", "regtask"} & errors.keys()


def test_who_has_lost_a_second_factor_gets_it_removed(root: Client, filled: None) -> None:
    """What it proves itself by stands on no page."""
    found = Authenticator.objects.order_by("pk").first()
    assert found
    path = reverse("admin:mfa_authenticator_change", args=[found.pk])
    assert "secret" not in root.get(path).content.decode()
    delete = reverse("admin:mfa_authenticator_delete", args=[found.pk])
    assert delete in root.get(path).content.decode()
    assert root.post(delete, {"post": "yes"}).status_code == 302
    assert not Authenticator.objects.filter(pk=found.pk).exists()
    assert AuditEvent.objects.filter(target_type="mfa.authenticator", verb="delete").count() == 1
