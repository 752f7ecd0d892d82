"""Routing policies in Django's admin: their form knows the `provider` object, which accounts/ does not.

And Celery's schedules: django-celery-beat's pages, with audit events.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat import admin as pages
from django_celery_beat import models

from accounts.audited import Audited
from accounts.choosing import Choosing
from accounts.models import RoutingPolicy
from gateway.routing.forms import FIELDS, RoutingForm


class TaskForm(pages.PeriodicTaskForm):  # type: ignore[misc]
    def clean_regtask(self) -> str:
        name: str = self.cleaned_data["regtask"]
        if name not in dict(self.fields["regtask"].widget.choices):
            raise ValidationError("There is no such task.")
        return name

    def clean(self) -> Any:
        # Theirs reads what has been refused already.
        if {"task", "regtask"} & self.errors.keys():
            return self.cleaned_data
        return super().clean()


class TaskAdmin(pages.PeriodicTaskAdmin):  # type: ignore[misc]
    form = TaskForm


PAGES: dict[Any, Any] = {
    models.PeriodicTask: TaskAdmin,
    models.IntervalSchedule: pages.IntervalScheduleAdmin,
    models.CrontabSchedule: pages.CrontabScheduleAdmin,
    models.ClockedSchedule: pages.ClockedScheduleAdmin,
    models.SolarSchedule: admin.ModelAdmin,
}

for model, page in PAGES.items():
    admin.site.unregister(model)
    admin.site.register(model, type(page.__name__, (Audited, page), {}))


@admin.register(RoutingPolicy)
class RoutingPolicyAdmin(Choosing, Audited, admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    form = RoutingForm
    list_display = ("__str__", "denies_collection", "needs_zdr", "sort", "updated_at")
    list_filter = ("denies_collection", "needs_zdr", "sort")
    search_fields = ("organization__name", "api_key__name", "api_key__label")
    autocomplete_fields = ("organization", "api_key")
    fields = ("organization", "api_key", *FIELDS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RoutingPolicy]:
        return RoutingPolicy.objects.select_related("organization", "api_key").order_by("-updated_at", "pk")
