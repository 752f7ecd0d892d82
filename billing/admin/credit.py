"""The page that grants or corrects an organization's credit: a form, a confirmation, one posting."""

from uuid import UUID

from django.contrib import admin, messages
from django.db import DataError, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts import audit
from accounts.admin import demand
from accounts.models import Organization, User
from billing import ledger
from billing.forms import CreditForm
from billing.models import Wallet
from billing.money import usd


def page(request: HttpRequest, organization_id: UUID) -> HttpResponse:
    user = demand(request, "billing.add_ledgertransaction")
    organization = get_object_or_404(Organization, pk=organization_id)
    form = CreditForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return show(request, "form", organization, form)
    if "confirmed" not in request.POST:
        return show(request, "confirmation", organization, form)
    post(request, user, organization, form)
    return redirect("admin:accounts_organization_change", organization.pk)


def show(request: HttpRequest, step: str, organization: Organization, form: CreditForm) -> HttpResponse:
    spendable = Wallet.objects.for_organization(organization).spendable
    amount = form.cleaned_data.get("amount", 0) if form.is_valid() else 0
    context = {
        **admin.site.each_context(request),
        "title": f"Grant or correct credit of {organization}",
        "opts": Organization._meta,
        "step": step,
        "organization": organization,
        "form": form,
        "amount": usd(amount),
        "kind": "grant" if amount > 0 else "correction",
        "spendable": usd(spendable),
        "spendable_after": usd(spendable + amount),
        "is_overdrawn": spendable + amount < 0,
    }
    return render(request, "admin/billing/credit.html", context)


def post(request: HttpRequest, user: User, organization: Organization, form: CreditForm) -> None:
    amount, reason = form.cleaned_data["amount"], form.cleaned_data["reason"]
    reference = f"admin:{form.cleaned_data['token']}"
    verb, move = (audit.Verb.GRANT, ledger.grant) if amount > 0 else (audit.Verb.CORRECT, ledger.correct)
    try:
        with transaction.atomic():
            posted = move(organization, amount=amount, reason=reason, created_by=user, reference=reference)
            details = {"amount_usd": usd(amount), "reason": reason}
            audit.record(request, verb, posted, organization_id=organization.pk, details=details)
    except IntegrityError:
        if not ledger.is_posted(reference):
            raise
        messages.warning(request, "This had been posted before; nothing was posted again.")
    except DataError:
        messages.error(request, "The wallet cannot hold that much; nothing was posted.")
    else:
        messages.success(request, f"{usd(amount)} USD posted as {posted}.")
