"""Promotional codes in the admin."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import ReadOnly
from accounts.audited import Audited
from accounts.light import Light
from accounts.models import User
from billing.admin.columns import usd_column
from billing.forms import UsdField
from billing.money import usd
from billing.payments.models import PromoCode, Redemption

CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{3,39}", re.ASCII)


# A hundred years: the calendar ends at the year 9999.
MOST_DAYS = 36_500


class NewPromoCodeForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    amount_nano = UsdField(label="Credit (USD)")
    credit_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_DAYS,
        help_text="Days after which the credit given expires; empty for never.",
    )

    class Meta:
        model = PromoCode
        fields = ("code", "amount_nano", "max_uses", "expires_at", "credit_days")

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"].strip().upper()
        if not CODE.fullmatch(code):
            raise forms.ValidationError("4 to 40 letters, digits and dashes.")
        return code

    def clean_amount_nano(self) -> int:
        amount: int = self.cleaned_data["amount_nano"]
        if amount <= 0:
            raise forms.ValidationError("It must be more than 0.")
        return amount


class PromoCodeForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = PromoCode
        fields = ("max_uses", "expires_at", "is_disabled")

    def clean_max_uses(self) -> int:
        uses: int = self.cleaned_data["max_uses"]
        if uses < self.instance.uses:
            raise forms.ValidationError(f"It has been used {self.instance.uses} times already.")
        return uses


class RedemptionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Redemption
    fields = readonly_fields = ("created_at", "organization", "redeemed_by", "posted")
    ordering = ("-pk",)


@admin.register(PromoCode)
class PromoCodeAdmin(Light, Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    """Amount and days stay what they were once a code is made: the first to redeem it got no other."""

    list_display: Any = (
        "code",
        usd_column("amount_nano", label="credit"),
        "uses",
        "max_uses",
        "expires_at",
        "is_disabled",
    )
    list_filter = ("is_disabled", "expires_at")
    search_fields = ("code",)
    ordering = ("-pk",)
    inlines = (RedemptionInline,)

    def get_form(self, request: HttpRequest, obj: PromoCode | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = PromoCodeForm if obj else NewPromoCodeForm
        return super().get_form(request, obj, change, **{**kwargs, "form": form, "fields": form.Meta.fields})

    def get_readonly_fields(self, request: HttpRequest, obj: PromoCode | None = None) -> Any:
        return ("code", "credit", "credit_days", "uses", "created_by", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: PromoCode | None = None) -> Any:
        return (
            (*PromoCodeForm.Meta.fields, *self.get_readonly_fields(request, obj))
            if obj
            else NewPromoCodeForm.Meta.fields
        )

    @admin.display(description="credit $")
    def credit(self, code: PromoCode) -> str:
        return usd(code.amount_nano)

    def get_inlines(self, request: HttpRequest, obj: PromoCode | None) -> Any:
        return self.inlines if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: PromoCode | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.uses == 0)

    def save_model(self, request: HttpRequest, obj: PromoCode, form: Any, change: bool) -> None:
        if not change and isinstance(request.user, User):
            obj.created_by = request.user
        # `uses` grows meanwhile: what the page does not show it must not write.
        if change:
            obj.save(update_fields=form.changed_data or ["is_disabled"])
        else:
            obj.save()
