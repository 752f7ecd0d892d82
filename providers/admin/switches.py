"""Several rows of the catalogue switched at once. Every gateway process follows within a second."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit
from accounts.audited import Audited

Verb = audit.Verb


class Switched(Audited):
    """Enable and disable. Each row that changes leaves an event of its own, the others none."""

    actions: Any = ("enable", "disable")
    recorded_actions = ("enable", "disable", "drain", "fill")

    @admin.action(description="Enable selected %(verbose_name_plural)s", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        switch(request, queryset, "is_enabled", True, Verb.ENABLE)

    @admin.action(description="Disable selected %(verbose_name_plural)s", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        switch(request, queryset, "is_enabled", False, Verb.DISABLE)


class Drained(Switched):
    """Those that take requests, too: what drains takes no new ones."""

    actions: Any = (*Switched.actions, "drain", "fill")

    @admin.action(description="Drain selected %(verbose_name_plural)s: no new requests", permissions=["change"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        switch(request, queryset, "is_draining", True, Verb.UPDATE)

    @admin.action(description="End the draining of selected %(verbose_name_plural)s", permissions=["change"])
    def fill(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        switch(request, queryset, "is_draining", False, Verb.UPDATE)


def switch(request: HttpRequest, queryset: QuerySet[Any], field: str, value: bool, verb: Verb) -> None:
    """One statement for all rows: processes are told once."""
    rows = queryset.model._default_manager
    with transaction.atomic():
        chosen = rows.filter(pk__in=queryset.order_by().values("pk"), **{field: not value})
        changed = list(chosen.select_for_update().order_by("pk"))
        rows.filter(pk__in=[row.pk for row in changed]).update(**{field: value, "updated_at": timezone.now()})
        for row in changed:
            audit.record(request, verb, row, details={"name": str(row), field: [not value, value]})
    name = queryset.model._meta.verbose_name if len(changed) == 1 else queryset.model._meta.verbose_name_plural
    messages.success(request, f"{len(changed)} {name} changed.")
