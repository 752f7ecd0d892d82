"""Lists of the admin that are too long to count, and searches in them that no single index answers."""

from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet

MAX_COUNTED = 2000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic to the type checker only
    """Ends after MAX_COUNTED rows: nobody counts or pages through tables with millions of them."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the stub knows lists only
        return rows.values("pk")[:MAX_COUNTED].count()


def newest_of(queryset: QuerySet[Any], *found: QuerySet[Any]) -> QuerySet[Any]:
    """The rows that are in one of these, as many of each as a list shows. Each is asked for alone, by its own index:
    together they would be looked for in the whole table."""
    ids = {pk for rows in found for pk in rows.order_by("-pk").values_list("pk", flat=True)[:MAX_COUNTED]}
    return queryset.filter(pk__in=ids)
