"""What the organization and each of its members may spend, and have spent."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import access
from accounts.audit import Verb
from accounts.models import Every, Membership, Organization
from accounts.roles import Right
from billing import budgets
from billing.budgets import UNUSED
from billing.money import usd
from gateway.pages.fields import limit_field, nano
from gateway.pages.organizations import chosen, record
from gateway.pages.tenant import membership

Budgeted = Organization | Membership


class BudgetForm(forms.Form):
    limit = limit_field(help_text="Empty is no budget.")
    reset = forms.ChoiceField(required=False, choices=[("", "for all time"), *Every.choices])

    @property
    def nano(self) -> int | None:
        return nano(self.cleaned_data["limit"])


@login_required
@require_safe
def budget_list(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    members = list(access.members_of(member.organization_id))
    used = budgets.usages([member.organization.budget_id, *(one.budget_id for one in members)])
    everybody: list[Budgeted] = [member.organization, *members]
    context = {
        "rows": [row_of(one, used.get(one.budget_id, UNUSED)) for one in everybody],
        "windows": [("", "for all time"), *Every.choices],
        "may_set": access.may(member, Right.SET_BUDGETS),
    }
    return render(request, "pages/budgets.html", context)


def row_of(one: Budgeted, used: budgets.BudgetUsage) -> dict[str, Any]:
    spent = used.within(one.budget_reset)
    return {
        "id": one.pk if isinstance(one, Membership) else "",
        "name": one.user.email if isinstance(one, Membership) else one.name,
        "limit": "" if one.budget_nano is None else usd(one.budget_nano).replace(",", ""),
        "reset": one.budget_reset,
        "has_budget": one.budget_nano is not None,
        "budget": one.budget_nano,
        "used": spent,
        "percent": min(100 * spent // one.budget_nano, 100) if one.budget_nano else 0,
    }


@login_required
@require_POST
def set_budget(request: HttpRequest) -> HttpResponse:
    """`member` names one; without it the budget is the organization's."""
    member = membership(request)
    access.demand(member, Right.SET_BUDGETS)
    target = target_of(member, request.POST.get("member", ""))
    form = BudgetForm(request.POST)
    if not form.is_valid():
        messages.error(request, "A budget is an amount of USD with at most 9 decimals.")
        return redirect("page-budgets")
    reset = form.cleaned_data["reset"] if form.nano is not None else ""
    before = [target.budget_nano, target.budget_reset]
    with transaction.atomic():
        budgets.set_budget(target, form.nano, reset)
        told = {"budget_nano": [before[0], form.nano], "budget_reset": [before[1], reset]}
        of = {"member": target.user.email} if isinstance(target, Membership) else {}
        record(request, Verb.UPDATE, member, {**of, **told})
    messages.success(request, "The budget is set.")
    return redirect("page-budgets")


def target_of(member: Membership, named: str) -> Budgeted:
    if not named:
        return member.organization
    found = chosen(member, named)
    if found is None:
        raise Http404
    return found
