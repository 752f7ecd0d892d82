"""Admin pages whose every change leaves an audit event: a mixin in front of ModelAdmin."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.actions import delete_selected
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import BaseForm, PasswordInput
from django.http import HttpRequest, HttpResponse

from accounts import audit

SECRET = "(not kept)"


class Audited:
    """Adding, changing, deleting and bulk actions. What a form keeps secret is told as changed and no more."""

    recorded_actions: tuple[str, ...] = ()
    """They leave events of their own."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        request.audit_details = {**told(form), **rows_of(formsets or ())}  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)  # type: ignore[misc]

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        audit.record(request, audit.Verb.CREATE, obj, details=details_of(request, obj))
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        if details_of(request, None):
            audit.record(request, audit.Verb.UPDATE, obj, details=details_of(request, obj))
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            audit.record(request, audit.Verb.DELETE, obj, details={"name": str(obj)})
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *where: Any, **named: Any
    ) -> HttpResponse | None:
        action = request.POST.get("action", "")
        chosen = list(queryset.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME)).order_by("pk"))
        if request.POST.get("select_across") == "1":
            chosen = list(queryset)
        with transaction.atomic():
            response: HttpResponse | None = super().response_action(request, queryset, *where, **named)  # type: ignore[misc]
            if response is not None and action and action not in (delete_selected.__name__, *self.recorded_actions):
                for obj in chosen:
                    audit.record(request, audit.Verb.UPDATE, obj, details={"name": str(obj), "action": action})
        return response


def details_of(request: HttpRequest, obj: Model | None) -> dict[str, Any]:
    details: dict[str, Any] = getattr(request, "audit_details", {})
    return details if obj is None else {"name": str(obj), **details}


def told(form: BaseForm) -> dict[str, Any]:
    """Before and after of each field; of a new row what it was made with."""
    secrets = {name for name, field in form.fields.items() if isinstance(field.widget, PasswordInput)}
    return {name: SECRET if name in secrets else values for name, values in audit.changes(form).items()}


def rows_of(formsets: Iterable[Any]) -> dict[str, list[str]]:
    """The rows beside the page's own that were saved with it."""
    found: dict[str, list[str]] = {}
    for formset in formsets:
        name = str(formset.model._meta.verbose_name_plural)
        added = [str(obj) for obj in getattr(formset, "new_objects", ())]
        changed = [str(obj) for obj, _ in getattr(formset, "changed_objects", ())]
        deleted = [str(obj) for obj in getattr(formset, "deleted_objects", ())]
        for verb, rows in (("added", added), ("changed", changed), ("deleted", deleted)):
            if rows:
                found[f"{name} {verb}"] = rows
    return found
