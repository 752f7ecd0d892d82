"""The back office with a row of everything in it, and its pages: for screenshots (bench/screenshots) and for axe."""

import json
from collections.abc import Collection, Iterator

from playwright.sync_api import BrowserContext, Page

from tests.people import PASSWORD, People

ROOT = "root@example.com"
SEED = f"""
import json
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.test import RequestFactory
from django.urls import reverse
from accounts.models import User
from billing.payments.models import TopUp
from providers import refreshes
from providers.catalogue.exporting import export_catalogue
from providers.models import Endpoint, Model, Provider
from tests.accounts.test_admin_queries import fill

fill(range(2))
user = User.objects.create_superuser({ROOT!r}, {PASSWORD!r})
EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
request = RequestFactory().get("/")
request.user = user
request.session = {{}}
for row in admin.site._registry.values():
    assert row.model._default_manager.exists(), row
text = export_catalogue().replace("0.000001", "0.0000035").replace("Acme: acme", "Acme Research: acme")
refresh = refreshes.propose(text, source="vendors.yaml")
Provider.objects.filter(slug="tertiary").update(is_draining=True, max_concurrency=8)
found = {{}}
for model, page in admin.site._registry.items():
    name = f"{{model._meta.app_label}}_{{model._meta.model_name}}"
    found[f"{{name}}-list"] = reverse(f"admin:{{name}}_changelist")
    if page.has_add_permission(request):
        found[f"{{name}}-add"] = reverse(f"admin:{{name}}_add")
    row = model._default_manager.order_by("pk").last()
    found[name] = reverse(f"admin:{{name}}_change", args=[row.pk])
found["review"] = reverse("admin:providers_refresh_change", args=[refresh.pk])
top_up = TopUp.objects.latest("pk")
found["refund"] = reverse("admin:billing_topup_refund", args=[top_up.pk])
print(json.dumps(found))
"""
OWN = {
    "index": "/admin/",
    "app": "/admin/providers/",
    "upload": "/admin/providers/refresh/upload/",
    "password": "/admin/password_change/",
    "credit": "/admin/accounts/organization/{organization}/credit/",
    "suspend": "/admin/accounts/organization/{organization}/suspend/",
    "look": "/admin/accounts/organization/{organization}/look/",
}


VISITOR = {"office-login": "/admin/", "docs": "/docs"}


class Office:
    def __init__(self, people: People) -> None:
        self.people = people
        told = people.product.manage("shell", "--verbosity", "0", "-c", SEED).stdout
        found: dict[str, str] = json.loads(told.splitlines()[-1])
        self.paths = found | {name: path.format(**people.known) for name, path in OWN.items()}

    def pages(self, context: BrowserContext, wanted: Collection[str] = ()) -> Iterator[tuple[str, Page]]:
        """Each page, open, by name; or those of these names."""
        url = self.people.product.url
        visitor = context.new_page()
        for name, path in VISITOR.items():
            if not wanted or name in wanted:
                visitor.goto(url + path)
                if name == "docs":
                    visitor.locator(".opblock").first.wait_for()
                yield name, visitor
        page = self.people.log_in(context, ROOT)
        for name, path in self.paths.items():
            if not wanted or f"office-{name}" in wanted:
                page.goto(url + path)
                yield f"office-{name}", page
