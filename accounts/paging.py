"""Lists of the admin that are too long to count, and searches in them that no single index answers."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.models import Organization, User

MAX_COUNTED = 1000
# Making a row of a list costs more than finding it.
PER_PAGE = 50
# Of people, organizations and keys with a name that is searched for.
MAX_NAMED = 500

# Each value from the index, without the rows in between.
VALUES = """
WITH RECURSIVE found(value) AS (
    (SELECT {column} FROM {table} ORDER BY 1 LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM {table} WHERE {column} > found.value ORDER BY 1 LIMIT 1)
    FROM found WHERE found.value IS NOT NULL
) SELECT value FROM found WHERE value IS NOT NULL
"""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic to the type checker only
    """Ends after MAX_COUNTED rows: nobody counts or pages through tables with millions of them.

    What the filters find is looked for once, as ids, and a page asks for its own.
    """

    @cached_property
    def ids(self) -> list[Any]:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the stub knows lists only
        return list(rows.values_list("pk", flat=True)[:MAX_COUNTED])

    @cached_property
    def count(self) -> int:
        return len(self.ids)

    def page(self, number: int | str) -> "Page[Any]":
        number = self.validate_number(number)
        ids = self.ids[(number - 1) * self.per_page : number * self.per_page]
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return Page(rows.filter(pk__in=ids), number, self)


class IndexedValuesFilter(admin.SimpleListFilter):
    """By the values of a column that an index begins with; Django's own reads every row for them."""

    model: type[Model]
    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        quote = connection.ops.quote_name
        names = {"column": quote(self.parameter_name), "table": quote(self.model._meta.db_table)}
        with connection.cursor() as cursor:
            cursor.execute(VALUES.format(**names))
            return [(value, value) for (value,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class Bounded:
    """A mixin in front of ModelAdmin."""

    paginator: Any = BoundedPaginator
    list_per_page = PER_PAGE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER


def newest_of(queryset: QuerySet[Any], *found: QuerySet[Any]) -> QuerySet[Any]:
    """The rows that are in one of these and not filtered out, as many as a list shows. Each is asked for alone, by its
    own index: together they would be looked for in the whole table."""
    own = (queryset & rows for rows in found)
    ids = {pk for rows in own for pk in rows.order_by("-pk").values_list("pk", flat=True)[:MAX_COUNTED]}
    return queryset.filter(pk__in=sorted(ids, reverse=True)[:MAX_COUNTED])


def organizations_named(term: str) -> list[UUID]:
    return list(Organization.objects.filter(name__icontains=term).values_list("pk", flat=True)[:MAX_NAMED])


def people_named(term: str) -> list[UUID]:
    """By a part of their address."""
    return list(User.objects.filter(email__icontains=term).values_list("pk", flat=True)[:MAX_NAMED])
