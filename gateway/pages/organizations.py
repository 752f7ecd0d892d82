"""An organization's own page: its name, a new one, handing it over, leaving it; and what was done in it."""

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access, audit, organizations
from accounts.audit import Verb
from accounts.models import AuditEvent, Membership
from accounts.organizations import MembershipError
from accounts.roles import Right
from gateway.pages.limits import limited
from gateway.pages.paging import page_of, row_id
from gateway.pages.tenant import choose, forget_choice, membership, user_of


class NameForm(forms.Form):
    name = forms.CharField(max_length=200)


class SetUpForm(NameForm):
    keeps_content = forms.BooleanField(
        label="Keep prompts and answers",
        required=False,
        help_text="Encrypted, as long as requests are kept, for /generation/content. Off, nothing of them is stored.",
    )


@login_required
@require_http_methods(["GET", "POST"])
def organization(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    found = member.organization
    form = SetUpForm(request.POST or None, initial={"name": found.name, "keeps_content": found.keeps_content})
    if request.method == "POST":
        access.demand(member, Right.SET_UP)
        if form.is_valid():
            with transaction.atomic():
                organizations.change(found, **form.cleaned_data)
                record(request, Verb.UPDATE, member, audit.changes(form))
            messages.success(request, "Saved.")
            return redirect("page-organization")
    owners = access.members_of(member.organization_id).filter(role=Membership.Role.OWNER)
    context = {
        "form": form,
        "member": member,
        "may_set_up": access.may(member, Right.SET_UP),
        "may_hand_over": access.may(member, Right.OWN) and not member.organization.is_personal,
        "others": access.members_of(member.organization_id).exclude(pk=member.pk),
        "is_last_owner": member.role == Membership.Role.OWNER and owners.count() == 1,
        "own_keys": organizations.keys_made_by(member).count(),
    }
    return render(request, "pages/organization.html", context)


@login_required
@require_http_methods(["GET", "POST"])
@limited("create-organization", user="10/h")
def new_organization(request: HttpRequest) -> HttpResponse:
    form = NameForm(request.POST or None)
    if not form.is_valid():
        return render(request, "pages/organization_new.html", {"form": form})
    with transaction.atomic():
        made = organizations.found(form.cleaned_data["name"], user_of(request))
        audit.record(request, Verb.CREATE, made, organization_id=made.pk, details={"name": made.name})
    choose(request, made.pk)
    return redirect("page-members")


@login_required
@require_POST
def hand_over(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    access.demand(member, Right.OWN)
    heir = chosen(member, request.POST.get("member", ""))
    if heir is None or heir == member or member.organization.is_personal:
        messages.error(request, "Choose a member to hand the organization over to.")
        return redirect("page-organization")
    with transaction.atomic():
        organizations.hand_over(member, heir)
        record(request, Verb.TRANSFER, member, {"to": heir.user.email})
    messages.success(request, f"{heir.user.email} owns this organization now; you are an admin of it.")
    return redirect("page-organization")


@login_required
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    try:
        with transaction.atomic():
            disabled = organizations.remove(member, with_keys="with_keys" in request.POST)
            record(request, Verb.LEAVE, member, {"keys_disabled": disabled})
    except MembershipError as error:
        messages.error(request, str(error))
        return redirect("page-organization")
    forget_choice(request)
    messages.success(request, f"You have left {member.organization.name}.")
    return redirect("dashboard")


@login_required
@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    access.demand(member, Right.AUDIT)
    events = access.events_of(member.organization_id)
    verb = request.GET.get("verb", "")
    if verb in Verb.values:
        events = events.filter(verb=verb)
    who = request.GET.get("who", "").strip()[:254]
    if who:
        events = events.filter(actor__email__icontains=who)
    page = page_of(events, request.GET.get("before", ""))
    context = {"page": page, "rows": [row_of(event) for event in page.rows], "verbs": Verb, "verb": verb, "who": who}
    return render(request, "pages/audit.html", context)


def row_of(event: AuditEvent) -> dict[str, Any]:
    details = event.details
    return {
        "event": event,
        "what": name_of(event.target_type),
        "changes": [(name, *pair) for name, pair in details.items() if is_change(pair)],
        "facts": [(name, value) for name, value in details.items() if not is_change(value)],
    }


def name_of(target_type: str) -> str:
    """As people call it; what has left the code keeps the name that it had."""
    try:
        return str(apps.get_model(target_type)._meta.verbose_name)
    except LookupError:
        return target_type.split(".")[-1]


def is_change(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2


def chosen(member: Membership, text: str) -> Membership | None:
    """Of the same organization, by what a form says."""
    pk = row_id(text)
    return None if pk is None else access.members_of(member.organization_id).filter(pk=pk).first()


def record(request: HttpRequest, verb: Verb, member: Membership, details: dict[str, Any]) -> None:
    audit.record(request, verb, member.organization, organization_id=member.organization_id, details=details)
