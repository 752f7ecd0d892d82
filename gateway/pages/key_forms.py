"""The forms of a key: amounts in USD, moments in UTC."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone

from accounts.keys import Limits
from accounts.models import ApiKey, Every
from billing.money import NANO_PER_USD
from gateway.pages.fields import limit_field, nano

MOMENT = "%Y-%m-%dT%H:%M"


class Columns(Limits):
    name: str


class KeyForm(forms.Form):
    name = forms.CharField(max_length=200)
    limit = limit_field(label="Spending limit (USD)", help_text="Empty is no limit.")
    limit_reset = forms.ChoiceField(
        label="Limit begins anew",
        required=False,
        choices=[("", "never"), *((value, value) for value in Every.values)],
        help_text="At 00:00 UTC; weeks begin on Monday, months on the first.",
    )
    expires_at = forms.DateTimeField(
        label="Expires (UTC)",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT),
        help_text="Empty is never.",
    )
    is_disabled = forms.BooleanField(
        label="Disabled", required=False, help_text="Refused everywhere within a second, until it is enabled again."
    )

    @staticmethod
    def initial_of(key: ApiKey) -> dict[str, Any]:
        limit = None if key.limit_nano is None else Decimal(key.limit_nano) / NANO_PER_USD
        return {
            "name": key.name,
            "limit": limit,
            "limit_reset": key.limit_reset,
            "expires_at": key.expires_at,
            "is_disabled": key.is_disabled,
        }

    def columns(self) -> Columns:
        found = self.cleaned_data
        limit: Decimal | None = found["limit"]
        return {
            "name": found["name"],
            "limit_nano": nano(limit),
            "limit_reset": found["limit_reset"] if limit is not None else "",
            "expires_at": found["expires_at"],
        }


class NewKeyForm(KeyForm):
    management = forms.BooleanField(
        label="Management key", required=False, help_text="Manages keys through the API; cannot run inference."
    )

    def __init__(self, *args: Any, may_manage: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["is_disabled"]
        if not may_manage:
            del self.fields["management"]

    @property
    def is_management(self) -> bool:
        return bool(self.cleaned_data.get("management"))

    def clean_expires_at(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["expires_at"]
        if moment is not None and moment.astimezone(UTC) <= timezone.now():
            raise forms.ValidationError("This moment has passed already.")
        return moment
