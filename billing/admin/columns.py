"""What several of these pages share."""

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet

from billing.money import usd

MAX_COUNTED = 2000


def usd_column(name: str, *, label: str = "") -> Any:
    """A field or annotation in nano-USD, shown in USD."""

    @admin.display(description=f"{label or name.replace('_', ' ')} $", ordering=name, empty_value="-")
    def column(row: Model) -> str | None:
        amount: int | None = vars(row)[name]
        return None if amount is None else usd(amount)

    # The classes of its header and cells are made of it.
    column.__name__ = f"{name}_usd"
    return column


def cents_column(name: str, *, label: str = "") -> Any:
    """A field in cents, shown in USD."""

    @admin.display(description=f"{label or name.removesuffix('_cents').replace('_', ' ')} $", ordering=name)
    def column(row: Model) -> str:
        cents: int = vars(row)[name]
        return f"{cents / 100:,.2f}"

    column.__name__ = f"{name}_usd"
    return column


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic to the type checker only
    """Ends after MAX_COUNTED rows: nobody counts or pages through tables with millions of them."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the stub knows lists only
        return rows.values("pk")[:MAX_COUNTED].count()
