"""Spending limits as people type them: USD, empty for none."""

from decimal import Decimal

from django import forms

from billing.money import NANO_PER_USD


def limit_field(*, label: str | None = None, help_text: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(10**9),
        decimal_places=9,
        help_text=help_text,
    )


def nano(limit: Decimal | None) -> int | None:
    return None if limit is None else int(limit * NANO_PER_USD)
