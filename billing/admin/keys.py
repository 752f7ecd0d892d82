"""API keys in the admin: what they may spend and have spent, on or off. Never the key itself."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit
from accounts.admin import OfOrganization, ReadOnly
from accounts.light import Light
from accounts.models import ApiKey
from accounts.paging import PER_PAGE
from billing.admin.columns import usd_column
from billing.budgets import used_now
from billing.forms import KeyForm

LIMIT = usd_column("limit_nano", label="limit")
USED = usd_column("used", label="used")


def with_usage() -> QuerySet[ApiKey]:
    return ApiKey.objects.select_related("organization", "created_by").annotate(used=used_now()).order_by("-id")


class ApiKeyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # generic to the type checker only
    model = ApiKey
    fields = readonly_fields = ("label", "name", LIMIT, "limit_reset", USED, "is_disabled", "is_management")
    show_change_link = True
    verbose_name_plural = "API keys that are not deleted"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return with_usage().filter(deleted_at=None)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "Live"), ("disabled", "Disabled"), ("expired", "Expired"), ("deleted", "Deleted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        states = {
            "live": Q(pk__in=ApiKey.objects.live().values("pk")),
            "disabled": Q(deleted_at=None, is_disabled=True),
            "expired": Q(deleted_at=None, expires_at__lte=timezone.now()),
            "deleted": Q(deleted_at__isnull=False),
        }
        return queryset.filter(states.get(self.value() or "", Q()))


@admin.register(ApiKey)
class ApiKeyAdmin(Light, OfOrganization, admin.ModelAdmin):  # type: ignore[type-arg]
    form = KeyForm
    list_display = (
        *("label", "name", "organization", LIMIT, "limit_reset", USED),
        *("is_disabled", "is_management", "expires_at", "deleted_at", "created_at"),
    )
    list_filter = (StateFilter, "is_management", "limit_reset", "expires_at", "created_at")
    search_fields = ("label", "name", "organization__name", "created_by__email", "=hash")
    search_help_text = "Label, name, organization, e-mail of who made it, or the hash that the keys API shows"
    list_per_page = PER_PAGE
    actions = ("disable", "enable")
    readonly_fields = (
        *("label", "organization_link", "is_management", USED, "created_by"),
        *("created_at", "updated_at", "deleted_at"),
    )
    fieldsets = (
        (None, {"fields": ("label", "organization_link", "name", "is_management", "is_disabled")}),
        ("Limits", {"fields": (("limit_nano", "limit_reset"), USED, "requests_per_minute", "expires_at")}),
        ("Record", {"fields": ("created_by", "created_at", "updated_at", "deleted_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return with_usage()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if form.changed_data:
            # No other columns: a deletion at the same moment stands.
            obj.save(update_fields=[*form.changed_data, "updated_at"])
            verb = audit.Verb.UPDATE
            if "is_disabled" in form.changed_data:
                verb = audit.Verb.DISABLE if obj.is_disabled else audit.Verb.ENABLE
            record(request, verb, obj, audit.changes(form))

    @admin.action(description="Disable selected keys", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self.switch(request, queryset, is_disabled=True)

    @admin.action(description="Enable selected keys", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self.switch(request, queryset, is_disabled=False)

    def switch(self, request: HttpRequest, queryset: QuerySet[ApiKey], *, is_disabled: bool) -> None:
        verb = audit.Verb.DISABLE if is_disabled else audit.Verb.ENABLE
        chosen = ApiKey.objects.filter(pk__in=queryset.values("pk"), is_disabled=not is_disabled, deleted_at=None)
        with transaction.atomic():
            changed = list(chosen.select_for_update().order_by("pk"))
            for key in changed:
                key.is_disabled = is_disabled
                key.save(update_fields=["is_disabled", "updated_at"])
                record(request, verb, key, {})
        messages.success(request, f"{len(changed)} {'key' if len(changed) == 1 else 'keys'} {verb}d.")


def record(request: HttpRequest, verb: audit.Verb, key: ApiKey, changes: dict[str, Any]) -> None:
    details = {"label": key.label, **changes}
    audit.record(request, verb, key, organization_id=key.organization_id, details=details)
