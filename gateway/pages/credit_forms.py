"""The forms of the credits page; amounts in USD."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings

from billing.payments.amounts import usd
from billing.payments.models import BillingProfile


def dollars(cents: int | None) -> Decimal | None:
    return None if cents is None else (Decimal(cents) / 100).quantize(Decimal("0.01"))


class UsdField(forms.DecimalField):
    """Cents inside."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(min_value=dollars(least), max_value=dollars(most), decimal_places=2, **kwargs)

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else int(amount * 100)


class BuyForm(forms.Form):
    saves_card = forms.BooleanField(label="Keep the card for automatic top-ups", required=False)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="buy_%s")
        least, most = settings.TOPUP_MIN_CENTS, settings.TOPUP_MAX_CENTS
        field = UsdField(label="Amount (USD)", least=least, most=most, initial=dollars(max(least, min(most, 1000))))
        field.help_text = f"From {usd(least)} to {usd(most)}."
        self.fields = {"amount": field, **self.fields}


class AutomaticForm(forms.Form):
    is_automatic = forms.BooleanField(label="Top up automatically", required=False)

    def __init__(self, data: Any = None, *, profile: BillingProfile) -> None:
        initial = {
            "is_automatic": profile.is_automatic,
            "threshold": dollars(profile.threshold_cents),
            "amount": dollars(profile.amount_cents),
        }
        super().__init__(data, auto_id="automatic_%s", initial=initial)
        least, most = settings.TOPUP_MIN_CENTS, settings.TOPUP_MAX_CENTS
        self.profile = profile
        self.fields["threshold"] = UsdField(
            label="Threshold (USD)", least=0, most=most, help_text="When less than this is left, credit is bought."
        )
        self.fields["amount"] = UsdField(
            label="Amount (USD)", least=least, most=most, help_text=f"What is bought: {usd(least)} to {usd(most)}."
        )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("is_automatic") and not self.profile.payment_method:
            raise forms.ValidationError("Add a card first.")
        return found


class AlertForm(forms.Form):
    def __init__(self, data: Any = None, *, profile: BillingProfile) -> None:
        initial = {"low_balance": dollars(profile.low_balance_cents)}
        super().__init__(data, auto_id="alert_%s", initial=initial)
        self.fields["low_balance"] = UsdField(
            label="Threshold (USD)",
            least=0,
            most=10**11,
            required=False,
            help_text="Who may pay gets a mail when less than this is left. Empty is never.",
        )


class RedeemForm(forms.Form):
    code = forms.CharField(label="Promotional code", max_length=40)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="redeem_%s")
