"""An organization's API keys: list, create (shown once), change, delete."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import access, audit, keys
from accounts.audit import Verb
from accounts.models import ApiKey, Membership
from accounts.roles import Right
from billing import budgets
from billing.budgets import UNUSED
from gateway.pages.key_forms import KeyForm, NewKeyForm
from gateway.pages.limits import limited
from gateway.pages.tenant import membership, user_of


@login_required
@require_safe
def key_list(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    found = list(access.shown_keys(member).order_by("-created_at", "-id"))
    used = budgets.usages(key.pk for key in found)
    rows = [{"key": key, "used": used.get(key.pk, UNUSED).within(key.limit_reset)} for key in found]
    return render(request, "pages/keys.html", {"rows": rows, "may_create": access.may_create_key(member)})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@limited("create-key", user="30/h")
def new_key(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    access.demand_creation(member)
    form = NewKeyForm(request.POST or None, may_manage=access.may_create_key(member, is_management=True))
    if not form.is_valid():
        return render(request, "pages/key_new.html", {"form": form})
    with transaction.atomic():
        key, token = keys.issue(
            member.organization, created_by=user_of(request), is_management=form.is_management, **form.columns()
        )
        record(request, Verb.CREATE, key, {"name": key.name})
    return render(request, "pages/key_created.html", {"key": key, "token": token})


@login_required
@never_cache
@require_POST
@limited("create-key", user="30/h")
def quick_key(request: HttpRequest) -> HttpResponse:
    """A key without a limit, for the code on the page that asks; a page of its own without JavaScript."""
    member = membership(request)
    access.demand(member, Right.MAKE_KEYS)
    with transaction.atomic():
        key, token = keys.issue(member.organization, name="Quick start", created_by=user_of(request))
        record(request, Verb.CREATE, key, {"name": key.name})
    template = "pages/quick_key.html" if request.headers.get("HX-Request") else "pages/key_created.html"
    return render(request, template, {"key": key, "token": token})


@login_required
@require_http_methods(["GET", "POST"])
def key_detail(request: HttpRequest, hash: str) -> HttpResponse:
    member = membership(request)
    key = key_of(member, hash)
    form = KeyForm(request.POST or None, initial=KeyForm.initial_of(key))
    if request.method == "POST":
        demand_change(member, key)
        if form.is_valid():
            with transaction.atomic():
                keys.change(key, {**form.columns(), "is_disabled": form.cleaned_data["is_disabled"]})
                record(request, Verb.UPDATE, key, audit.changes(form))
            return redirect("page-keys")
    return render(request, "pages/key.html", {"form": form, **details(member, key)})


@login_required
@require_POST
def delete_key(request: HttpRequest, hash: str) -> HttpResponse:
    member = membership(request)
    key = key_of(member, hash)
    demand_change(member, key)
    with transaction.atomic():
        keys.delete(key)
        record(request, Verb.DELETE, key, {"name": key.name})
    return redirect("page-keys")


def record(request: HttpRequest, verb: Verb, key: ApiKey, details: dict[str, Any]) -> None:
    audit.record(request, verb, key, organization_id=key.organization_id, details=details)


def key_of(member: Membership, hash: str) -> ApiKey:
    try:
        return access.get_shown_key(member, hash)
    except ApiKey.DoesNotExist:
        raise Http404 from None


def demand_change(member: Membership, key: ApiKey) -> None:
    if not access.may_change_key(member, key):
        raise PermissionDenied("Your role in this organization does not let you change this key.")


def details(member: Membership, key: ApiKey) -> dict[str, Any]:
    return {
        "key": key,
        "used": budgets.usage(key.pk),
        "may_change": access.may_change_key(member, key),
    }
