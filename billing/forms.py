"""Forms of the admin's pages about money."""

from typing import Any
from uuid import uuid4

from django import forms

from accounts.forms import MembershipForm
from accounts.models import ApiKey, Membership, Organization
from billing import money
from billing.budgets import set_budget


def not_below_zero(amount: int) -> None:
    if amount < 0:
        raise forms.ValidationError("It must not be below 0.")


class UsdField(forms.CharField):
    """Nano-USD inside, a decimal string of USD outside."""

    def prepare_value(self, value: Any) -> Any:
        return money.plain(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return money.nano(text)
        except ValueError as error:
            raise forms.ValidationError(f"It {error}.") from None


class CreditForm(forms.Form):
    amount = UsdField(label="Amount (USD)", help_text="Above 0 is a grant, below 0 a correction. Up to 9 decimals.")
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3, "cols": 80}))
    # What is posted twice with the same token is posted once.
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise forms.ValidationError("It must not be 0.")
        return amount


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    limit_nano = UsdField(
        required=False, label="Limit (USD)", help_text="Spending limit; empty for none.", validators=[not_below_zero]
    )

    class Meta:
        model = ApiKey
        fields = ("name", "is_disabled", "limit_nano", "limit_reset", "requests_per_minute", "expires_at")


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    """For what has a budget."""

    budget_nano = UsdField(
        required=False,
        label="Budget (USD)",
        help_text="What it may spend; empty for no budget.",
        validators=[not_below_zero],
    )

    def save(self, commit: bool = True) -> Any:
        if commit:
            self.save_with_budget()
            return self.instance
        return super().save(commit=False)

    def save_with_budget(self) -> None:
        row = self.instance
        nano, reset = row.budget_nano, row.budget_reset
        row.budget_nano, row.budget_reset = self.initial.get("budget_nano"), self.initial.get("budget_reset", "")
        row.save()
        if (nano, reset) != (row.budget_nano, row.budget_reset):
            set_budget(row, nano, reset)


class OrganizationForm(BudgetForm):
    class Meta:
        model = Organization
        fields = ("name", "budget_nano", "budget_reset", "requests_per_minute")


class MemberForm(BudgetForm, MembershipForm):
    class Meta:
        model = Membership
        fields = ("user", "role", "budget_nano", "budget_reset")
