"""Providers and their API keys in the admin. Secrets go in and never come out."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from accounts.audited import Audited
from accounts.choosing import Choosing
from accounts.light import Light
from providers import refusals
from providers.admin.switches import Drained
from providers.forms import CredentialForm, ProviderForm
from providers.models import Credential, Provider


class CredentialInline(admin.StackedInline):  # type: ignore[type-arg]  # generic to the type checker only
    model = Credential
    form = CredentialForm
    fields = ("secret", "hint", "updated_at")
    readonly_fields = ("hint", "updated_at")
    verbose_name = "API key, used when the variable above is not set"


@admin.register(Provider)
class ProviderAdmin(Light, Drained, admin.ModelAdmin):  # type: ignore[type-arg]
    form = ProviderForm
    list_display = (
        *("slug", "name", "wire", "is_enabled", "is_draining", "weight", "max_concurrency"),
        *("key", "refused_at", "endpoints", "trains_on_data", "retention_days"),
    )
    actions = (*Drained.actions, "switch_key_on")
    list_editable = ("is_enabled", "is_draining", "weight", "max_concurrency")
    list_filter = (
        *("is_enabled", "is_draining", ("refused_at", admin.EmptyFieldListFilter)),
        *("wire", "trains_on_data", "retention_days"),
    )
    search_fields = ("slug", "name", "base_url")
    inlines = (CredentialInline,)
    readonly_fields = ("refused_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("slug", "name", "is_enabled", "is_draining", "weight", "refused_at", "updated_at")}),
        ("Limits", {"fields": ("max_concurrency", "queue_length", "queue_wait_s")}),
        ("How it is called", {"fields": ("wire", "base_url", "api_key_env", "passthrough", "quirks")}),
        ("Data policy", {"fields": ("trains_on_data", "retention_days", "headquarters", "datacenters")}),
        ("Links", {"fields": ("privacy_policy_url", "terms_of_service_url", "status_page_url")}),
    )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        refusals.forgive(Provider.objects.filter(pk=form.instance.pk))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        queryset = Provider.objects.select_related("credential").annotate(endpoint_count=Count("endpoints"))
        return queryset.order_by("slug")

    @admin.action(description="Switch the refused API key on again", permissions=["change"])
    def switch_key_on(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        count = refusals.switch_on(Provider.objects.filter(pk__in=[row.pk for row in queryset]))
        self.message_user(request, f"{count} switched on again.")

    @admin.display(description="API key")
    def key(self, provider: Provider) -> str:
        stored = f"stored {provider.credential}" if hasattr(provider, "credential") else ""
        return " or ".join(filter(None, [provider.api_key_env, stored])) or "none"

    @admin.display(ordering="endpoint_count")
    def endpoints(self, provider: Provider) -> int:
        count: int = vars(provider)["endpoint_count"]
        return count


@admin.register(Credential)
class CredentialAdmin(Choosing, Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    form = CredentialForm
    list_display = ("provider", "hint", "updated_at")
    list_select_related = ("provider",)
    search_fields = ("provider__slug", "provider__name")
    autocomplete_fields = ("provider",)
    fields = ("provider", "secret", "hint", "updated_at")

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        refusals.forgive(Provider.objects.filter(pk=obj.provider_id))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The ciphertext does not decrypt beside another provider.
        return ("provider", "hint", "updated_at") if obj else ("hint", "updated_at")
