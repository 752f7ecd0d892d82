"""Rows as CSV, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

from billing.money import AMOUNT

MAX_ROWS = 50_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def sheet(name: str, titles: Sequence[str], lines: Iterable[Sequence[Any]]) -> HttpResponse:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(titles)
    writer.writerows([harmless(cell) for cell in line] for line in lines)
    # The mark tells spreadsheets that it is UTF-8.
    response = HttpResponse("\ufeff" + text.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def harmless(cell: Any) -> Any:
    """Spreadsheets take text that begins like this for a formula; names of keys are anybody's. Amounts are ours."""
    is_text = isinstance(cell, str) and not AMOUNT.fullmatch(cell)
    return f"'{cell}" if is_text and cell[:1] in FORMULA else cell
