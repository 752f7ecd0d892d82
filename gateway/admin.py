"""Routing policies in Django's admin: their form knows the `provider` object, which accounts/ does not."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.audited import Audited
from accounts.models import RoutingPolicy
from gateway.routing.forms import FIELDS, RoutingForm


@admin.register(RoutingPolicy)
class RoutingPolicyAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    form = RoutingForm
    list_display = ("__str__", "denies_collection", "needs_zdr", "sort", "updated_at")
    list_filter = ("denies_collection", "needs_zdr", "sort")
    search_fields = ("organization__name", "api_key__name", "api_key__label")
    autocomplete_fields = ("organization", "api_key")
    fields = ("organization", "api_key", *FIELDS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RoutingPolicy]:
        return RoutingPolicy.objects.select_related("organization", "api_key").order_by("-updated_at", "pk")
