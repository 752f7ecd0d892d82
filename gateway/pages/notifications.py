"""Which mail goes to whom in an organization: everybody chooses for themselves, and who sets it up for all."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import access, notices, organizations
from accounts.audit import Verb
from accounts.models import Membership
from accounts.notices import Notice
from accounts.roles import Right
from billing.payments import profiles
from gateway.pages.organizations import record
from gateway.pages.paging import row_id
from gateway.pages.tenant import membership


class AddressForm(forms.Form):
    notices_email = forms.EmailField(
        label="One more address", required=False, help_text="Gets the mail about money, say a book-keeper's."
    )


@login_required
@require_http_methods(["GET", "POST"])
def notifications(request: HttpRequest) -> HttpResponse:
    """A POST says who gets what, for each `member` that it names, or to which other address mail about money goes."""
    member = membership(request)
    form = AddressForm(request.POST or None, initial={"notices_email": member.organization.notices_email})
    if request.method == "POST" and "notices_email" not in request.POST:
        set_choices(request, member)
        return redirect("page-notifications")
    if request.method == "POST":
        access.demand(member, Right.SET_UP)
        if form.is_valid():
            set_address(request, member, form.cleaned_data["notices_email"])
            return redirect("page-notifications")
    may_set_up = access.may(member, Right.SET_UP)
    context = {
        "member": member,
        "form": form,
        "may_set_up": may_set_up,
        "rows": [row_of(one, may_change=may_set_up or one.pk == member.pk) for one in own_first(member)],
        "threshold": profiles.shown_profile(member.organization).low_balance_cents,
    }
    return render(request, "pages/notifications.html", context)


def own_first(member: Membership) -> list[Membership]:
    return sorted(access.members_of(member.organization_id), key=lambda one: one.pk != member.pk)


def row_of(member: Membership, *, may_change: bool) -> dict[str, Any]:
    offered = [notice for notice in Notice if notices.may_be_told(member, notice)]
    return {
        "member": member,
        "may_change": may_change,
        "notices": [(notice, notices.is_told(member, notice)) for notice in offered],
    }


def set_choices(request: HttpRequest, member: Membership) -> None:
    """Of each member that the form showed, so that one who joined meanwhile keeps what is theirs."""
    shown = {pk for pk in request.POST.getlist("member") if row_id(pk) is not None}
    found = {str(one.pk): one for one in access.members_of(member.organization_id).filter(pk__in=shown)}
    if not shown or shown - found.keys():
        raise Http404
    if shown != {str(member.pk)}:
        access.demand(member, Right.SET_UP)
    with transaction.atomic():
        for pk, one in found.items():
            wanted = {notice for notice in Notice if f"{pk}:{notice}" in request.POST.getlist("told")}
            if changed := notices.choose(one, wanted):
                record(request, Verb.UPDATE, member, {"member": one.user.email, **changed})
    messages.success(request, "Saved.")


def set_address(request: HttpRequest, member: Membership, address: str) -> None:
    before = member.organization.notices_email
    with transaction.atomic():
        organizations.set_notices_email(member.organization, address)
        record(request, Verb.UPDATE, member, {"notices_email": [before, address]})
    messages.success(request, "Saved.")
