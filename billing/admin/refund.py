"""The page that refunds a payment: credit is taken, then Stripe pays back."""

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts import audit
from accounts.admin import demand
from accounts.models import User
from billing.errors import NotRefundable
from billing.money import usd as nano_usd
from billing.payments import client, refunds
from billing.payments.amounts import usd
from billing.payments.errors import NotAllowed
from billing.payments.models import Refund, TopUp


class RefundForm(forms.Form):
    amount = forms.DecimalField(label="Credit (USD)", max_digits=12, decimal_places=2, min_value=0)
    with_fee = forms.BooleanField(label="Also what is left of the fee", required=False)
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3, "cols": 80}))
    # What is posted twice with the same token is refunded once.
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, data: Any = None, *, top_up: TopUp) -> None:
        super().__init__(data)
        self.left = refunds.refundable_cents(top_up)
        amount = self.fields["amount"]
        amount.initial = f"{self.left / 100:.2f}"
        amount.help_text = f"Up to {usd(self.left)} of this payment, as far as the wallet has it unspent."

    def clean_amount(self) -> int:
        cents = int(self.cleaned_data["amount"] * 100)
        if cents <= 0:
            raise forms.ValidationError("It must be more than 0.")
        return cents


def page(request: HttpRequest, id: UUID) -> HttpResponse:
    user = demand(request, "billing.add_refund")
    top_up = get_object_or_404(TopUp.objects.select_related("organization"), pk=id)
    form = RefundForm(request.POST if request.method == "POST" else None, top_up=top_up)
    if form.is_valid() and (taken := take(request, user, top_up, form)) is not None:
        report(request, refunds.pay(taken) if taken.status == Refund.Status.TAKEN else taken)
        return redirect("admin:billing_topup_change", top_up.pk)
    context = {
        **admin.site.each_context(request),
        "title": f"Refund {top_up}",
        "opts": TopUp._meta,
        "top_up": top_up,
        "paid": usd(top_up.total_cents),
        "left": usd(form.left),
        "fee": usd(top_up.fee_left_cents),
        "is_possible": form.left > 0 and client.is_enabled(),
        "form": form,
    }
    return render(request, "admin/billing/refund.html", context)


def take(request: HttpRequest, user: User, top_up: TopUp, form: RefundForm) -> Refund | None:
    wanted = form.cleaned_data
    details = {"amount": usd(wanted["amount"]), "with_fee": wanted["with_fee"], "reason": wanted["reason"]}
    try:
        with transaction.atomic():
            taken = refunds.take(
                top_up,
                id=wanted["token"],
                credit_cents=wanted["amount"],
                with_fee=wanted["with_fee"],
                reason=wanted["reason"],
                user=user,
            )
            audit.record(request, audit.Verb.CREATE, taken, organization_id=top_up.organization_id, details=details)
    except NotAllowed as error:
        form.add_error("amount", str(error))
    except NotRefundable as error:
        form.add_error("amount", f"The wallet has {nano_usd(error.refundable)} USD that can be paid back.")
    else:
        return taken
    return None


def report(request: HttpRequest, refund: Refund) -> None:
    total = usd(refund.credit_cents + refund.fee_cents)
    match refund.status:
        case Refund.Status.PAID:
            messages.success(request, f"{total} refunded.")
        case Refund.Status.REFUSED:
            messages.error(request, f"Stripe refused; the credit is back. {refund.error}")
        case _:
            messages.warning(request, f"{total} taken. Stripe has not answered yet and is asked again.")
