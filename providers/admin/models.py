"""Models in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from accounts.light import Light
from providers.admin.switches import Switched
from providers.forms import ModelForm
from providers.models import Endpoint, Model


class EndpointInline(admin.TabularInline):  # type: ignore[type-arg]
    """Where the model is served, to look at; each row links to its own page."""

    model = Endpoint
    fields = readonly_fields = ("tag", "provider", "upstream_model", "quantization", "context_length", "is_enabled")
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return Endpoint.objects.select_related("provider", "model").order_by("tag")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Model)
class ModelAdmin(Light, Switched, admin.ModelAdmin):  # type: ignore[type-arg]
    form = ModelForm
    list_display = ("slug", "name", "context_length", "modalities", "endpoints", "is_enabled", "released_at")
    list_filter = ("is_enabled", "tokenizer", "released_at")
    search_fields = ("slug", "name", "hugging_face_id")
    inlines = (EndpointInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return Model.objects.annotate(endpoint_count=Count("endpoints")).order_by("slug")

    @admin.display()
    def modalities(self, model: Model) -> str:
        return f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}"

    @admin.display(ordering="endpoint_count")
    def endpoints(self, model: Model) -> int:
        count: int = vars(model)["endpoint_count"]
        return count
