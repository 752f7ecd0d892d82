"""A list of the admin as CSV: the rows that its filters and search show, all of them or none."""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from billing.money import plain
from billing.sheets import MAX_ROWS, sheet

# Rows are read so many at a time.
CHUNK = 2000
Column = tuple[str, Callable[[Any], Any]]


class Sheet:
    """A mixin in front of ModelAdmin: `sheet_columns` are titles and what makes a cell of a row."""

    sheet_columns: Sequence[Column] = ()
    change_list_template: Any = "admin/billing/sheet_list.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_sheet"  # type: ignore[attr-defined]
        page = self.admin_site.admin_view(self.sheet_page)  # type: ignore[attr-defined]
        own: list[URLPattern] = super().get_urls()  # type: ignore[misc]
        return [path("sheet.csv", page, name=name), *own]

    def sheet_page(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        opts = self.opts  # type: ignore[attr-defined]
        try:
            rows = self.get_changelist_instance(request).queryset  # type: ignore[attr-defined]
        except admin.options.IncorrectLookupParameters:
            return redirect(f"admin:{opts.app_label}_{opts.model_name}_changelist")
        if rows.order_by().values("pk")[: MAX_ROWS + 1].count() > MAX_ROWS:
            # A sheet that ends early without a word would be believed.
            messages.error(request, f"There are more than {MAX_ROWS:,} rows: narrow the list by filters or search.")
            back = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
            return redirect(f"{back}?{request.GET.urlencode()}")
        lines = (self.line(row) for row in rows.iterator(CHUNK))
        return sheet(str(opts.verbose_name_plural), [title for title, _ in self.sheet_columns], lines)

    def line(self, row: Model) -> list[Any]:
        return [cell(row) for _, cell in self.sheet_columns]


def nano_cell(name: str) -> Callable[[Any], str]:
    """A field or annotation in nano-USD, in USD."""

    def cell(row: Any) -> str:
        amount: int | None = getattr(row, name)
        return "" if amount is None else plain(amount)

    return cell


def moment_cell(name: str) -> Callable[[Any], str]:
    def cell(row: Any) -> str:
        moment = getattr(row, name)
        return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    return cell
