"""What several of these pages share."""

from typing import Any

from django.contrib import admin
from django.db.models import Model

from billing.money import usd


def usd_column(name: str, *, label: str = "") -> Any:
    """A field or annotation in nano-USD, shown in USD."""

    @admin.display(description=f"{label or name.replace('_', ' ')} $", ordering=name)
    def column(row: Model) -> str:
        # Of a row that a form only asks for there is none yet.
        amount: int | None = vars(row).get(name)
        return "-" if amount is None else usd(amount)

    # The classes of its header and cells are made of it.
    column.__name__ = f"{name}_usd"
    return column


def cents_column(name: str, *, label: str = "") -> Any:
    """A field in cents, shown in USD."""

    @admin.display(description=f"{label or name.removesuffix('_cents').replace('_', ' ')} $", ordering=name)
    def column(row: Model) -> str:
        cents: int = vars(row).get(name) or 0
        return f"{cents / 100:,.2f}"

    column.__name__ = f"{name}_usd"
    return column
