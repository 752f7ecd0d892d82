"""Pages of long tables without counting: `before` is the id of the last row that was shown."""

from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404
from msgspec import Struct

Row = TypeVar("Row", bound=Model)
PAGE = 50


class Page(Struct, Generic[Row], frozen=True):
    rows: list[Row]
    more: str | None
    is_first: bool


def page_of(rows: QuerySet[Row], before: str) -> Page[Row]:
    """Of rows in falling order of whole ids."""
    if before:
        last = row_id(before)
        if last is None:
            raise Http404
        rows = rows.filter(pk__lt=last)
    found = list(rows[: PAGE + 1])
    return Page(found[:PAGE], str(found[PAGE - 1].pk) if len(found) > PAGE else None, not before)


def row_id(text: str) -> int | None:
    """What is no id of any row is None, rather than an error of PostgreSQL's."""
    return int(text) if text.isdecimal() and len(text) < 19 else None
