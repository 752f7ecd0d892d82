"""What an operator does with an organization as a whole: suspends it, or looks at its pages as a viewer of it."""

from collections.abc import Callable
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts import audit, looking, organizations
from accounts.admin import demand
from accounts.models import Organization

SUSPENSION = (
    "Its keys get 403 and its pages change nothing, within a second; requests under way go on. Its members can read"
    " everything, and the reason."
)
RESUMPTION = "Its keys and pages work again within a second."
LOOKING = (
    "You see the organization's pages as a viewer of it, for half an hour, and can change nothing. That you began, each"
    " page and the end are in its audit log, for its members to read."
)


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3, "cols": 80}))


def suspend(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    demand(request, "accounts.change_organization")
    organization = get_object_or_404(Organization, pk=organization_id)

    def act(why: str) -> HttpResponse:
        with transaction.atomic():
            if organizations.suspend(organization, why):
                record(request, audit.Verb.SUSPEND, organization, why)
        messages.success(request, f"{organization} is suspended.")
        return back(organization)

    return asked(request, organization, f"Suspend {organization}", SUSPENSION, "Suspend", act)


def resume(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    demand(request, "accounts.change_organization")
    organization = get_object_or_404(Organization, pk=organization_id)

    def act(why: str) -> HttpResponse:
        with transaction.atomic():
            if organizations.resume(organization):
                record(request, audit.Verb.RESUME, organization, why)
        messages.success(request, f"{organization} is no longer suspended.")
        return back(organization)

    return asked(request, organization, f"End the suspension of {organization}", RESUMPTION, "End the suspension", act)


def look(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    demand(request, looking.PERMISSION)
    organization = get_object_or_404(Organization, pk=organization_id)

    def act(why: str) -> HttpResponse:
        looking.begin(request, organization, why)
        return redirect("dashboard")

    return asked(request, organization, f"Look as {organization}", LOOKING, "Begin", act)


def asked(
    request: HttpRequest,
    organization: Organization,
    title: str,
    said: str,
    button: str,
    act: Callable[[str], HttpResponse],
) -> HttpResponse:
    """A page that says what happens and asks why; then it happens."""
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return act(form.cleaned_data["reason"])
    context = {
        **admin.site.each_context(request),
        "title": title,
        "opts": Organization._meta,
        "organization": organization,
        "said": said,
        "button": button,
        "form": form,
    }
    return render(request, "admin/accounts/organization/reason.html", context)


def back(organization: Organization) -> HttpResponse:
    return redirect("admin:accounts_organization_change", organization.pk)


def record(request: HttpRequest, verb: audit.Verb, organization: Organization, why: str) -> None:
    audit.record(request, verb, organization, organization_id=organization.pk, details={"reason": why})
