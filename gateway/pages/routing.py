"""Which providers may answer: the page "Routing and privacy" of an organization, and that of one key."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import access, audit, policy
from accounts.audit import Verb
from accounts.models import ApiKey, Membership, RoutingPolicy
from accounts.roles import Right
from gateway.pages.keys import key_of
from gateway.pages.tenant import membership
from gateway.routing.forms import RoutingForm


@login_required
@require_http_methods(["GET", "POST"])
def routing(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    return edited(request, member, policy.of_organization(member.organization_id), None)


@login_required
@require_http_methods(["GET", "POST"])
def key_routing(request: HttpRequest, hash: str) -> HttpResponse:
    member = membership(request)
    key = key_of(member, hash)
    return edited(request, member, policy.of_key(key), key)


def edited(request: HttpRequest, member: Membership, row: RoutingPolicy, key: ApiKey | None) -> HttpResponse:
    form = RoutingForm(request.POST or None, instance=row)
    if request.method == "POST":
        access.demand(member, Right.SET_UP)
        if form.is_valid():
            save(request, member, form, row)
            return redirect("page-key-routing", hash=key.hash) if key else redirect("page-routing")
    context = {"form": form, "key": key, "may_set_up": access.may(member, Right.SET_UP)}
    return render(request, "pages/routing.html", context)


def save(request: HttpRequest, member: Membership, form: RoutingForm, row: RoutingPolicy) -> None:
    with transaction.atomic():
        form.save()
        details = {"name": str(row), **audit.changes(form)}
        audit.record(request, Verb.UPDATE, row, organization_id=member.organization_id, details=details)
    messages.success(request, "Saved. It holds for every request from now on.")
