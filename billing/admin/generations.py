"""Generations in the admin. The table is large and has one order, its ids': every list is a range of the newest."""

from datetime import timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin import ReadOnly, pretty
from accounts.models import ApiKey, Organization
from accounts.paging import MAX_NAMED, Bounded, organizations_named
from billing.admin.columns import usd_column
from billing.admin.sheets import Sheet, moment_cell, nano_cell
from billing.generations import first_id, oldest_of, private_id, public_id
from billing.models import Generation

AMOUNTS = tuple(usd_column(name) for name in ("charge", "list_charge", "cost", "write_off"))
# Providers come from so many of the newest rows: DISTINCT would read all.
SAMPLE = 5000
SEARCHED = 20_000
UNINDEXED = {"q", "outcome__exact", "provider", "streamed__exact", "is_estimated__exact"}
TOKENS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "cache_write_tokens")


class SinceFilter(admin.SimpleListFilter):
    title = f"since (with other filters the newest {SEARCHED:,})"
    parameter_name = "since"
    DAYS = {"day": 1, None: 7, "month": 30}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("day", "24 hours"), ("month", "30 days"), ("ever", "Ever: slow with other filters")]

    def choices(self, changelist: Any) -> Any:
        everything, *others = super().choices(changelist)
        return [{**everything, "display": "7 days"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = self.DAYS.get(self.value())
        if days is None:
            return queryset
        since = first_id(timezone.now() - timedelta(days=days))
        return queryset.filter(pk__gte=max(since, searched_from(request) or since))


def searched_from(request: HttpRequest) -> UUID | None:
    """What no index knows is looked for among the newest alone: of all, or of the organization that is asked for."""
    if not request.GET.keys() & UNINDEXED:
        return None
    organization = uuid_of(request.GET.get("organization_id", "")) or searched_organization(request.GET.get("q", ""))
    rows = Generation.objects.filter(organization_id=organization) if organization else Generation.objects.all()
    return oldest_of(rows.order_by("-id"), SEARCHED)


class ProviderFilter(admin.SimpleListFilter):
    title = "provider"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = Generation.objects.order_by("-id").values_list("provider", flat=True)[:SAMPLE]
        return [(slug, slug) for slug in sorted(set(newest)) if slug]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


@admin.register(Generation)
class GenerationAdmin(Sheet, ReadOnly, Bounded, admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    list_display = (
        *("public_id", "organization", "model", "outcome", AMOUNTS[0], "provider", "key_name"),
        *("prompt_tokens", "completion_tokens", "latency_ms", "created_at"),
    )
    list_filter = (SinceFilter, "outcome", ProviderFilter, "streamed", "is_estimated")
    search_fields = ("model",)
    search_help_text = (
        "gen-… or UUID of a generation, organization, key or endpoint; or part of their name or a model's"
    )
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("public_id", "id", "organization", "key", "created_at", "closed_at", "outcome", "error")}),
        ("Model", {"fields": ("requested_model", "model", "provider", "endpoint_tag", "endpoint_id", "upstream_id")}),
        ("Money", {"fields": (AMOUNTS, ("price_id", "is_estimated"))}),
        (
            "Tokens",
            {"fields": (TOKENS,)},
        ),
        (
            "Answer",
            {
                "fields": (
                    ("streamed", "finish_reason", "native_finish_reason"),
                    ("latency_ms", "generation_ms"),
                    "tries",
                )
            },
        ),
        ("Client", {"fields": ("app_title", "http_referer", "user_agent", "session_id", "external_user")}),
    )

    sheet_columns = (
        ("generation", lambda row: public_id(row.pk)),
        ("time (UTC)", moment_cell("created_at")),
        ("organization", lambda row: row.organization_name or row.organization_id),
        ("organization id", lambda row: row.organization_id),
        ("key", lambda row: row.key_name or ""),
        *(
            (name.replace("_", " "), attrgetter(name))
            for name in ("model", "provider", "endpoint_tag", "outcome", "error")
        ),
        *(
            (f"{name.replace('_', ' ')} (USD)", nano_cell(name))
            for name in ("charge", "list_charge", "cost", "write_off")
        ),
        *((name.replace("_", " "), attrgetter(name)) for name in TOKENS),
        ("latency (ms)", lambda row: row.latency_ms),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        organizations = Organization.objects.filter(pk=OuterRef("organization_id"))
        keys = ApiKey.objects.filter(pk=OuterRef("api_key_id"))
        return Generation.objects.annotate(
            organization_name=Subquery(organizations.values("name")),
            key_label=Subquery(keys.values("label")),
            key_name=Subquery(keys.values("name")),
        ).order_by("-id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if generation := private_id(term):
            # There is one: no filter needs to match.
            return self.get_queryset(request).filter(pk=generation), False
        if organization := searched_organization(term):
            return queryset.filter(organization_id=organization), False
        if identity := uuid_of(term):
            return queryset.filter(Q(pk=identity) | Q(api_key_id=identity) | Q(endpoint_id=identity)), False
        return (queryset.filter(named(term)) if term else queryset), False

    @admin.display(description="generation")
    def public_id(self, generation: Generation) -> str:
        return public_id(generation.pk)

    @admin.display()
    def organization(self, generation: Generation) -> str:
        return str(vars(generation)["organization_name"] or generation.organization_id)

    @admin.display(description="API key")
    def key(self, generation: Generation) -> str:
        label, name = vars(generation)["key_label"], vars(generation)["key_name"]
        return f"{name} ({label})" if label else str(generation.api_key_id or "-")

    @admin.display(description="API key", empty_value="-")
    def key_name(self, generation: Generation) -> Any:
        return vars(generation)["key_name"]

    @admin.display(description="attempts")
    def tries(self, generation: Generation) -> str:
        return pretty(generation.attempts)


def searched_organization(term: str) -> UUID | None:
    identity = uuid_of(term.strip())
    return identity if identity and Organization.objects.filter(pk=identity).exists() else None


def named(term: str) -> Q:
    keys = ApiKey.objects.filter(Q(name__icontains=term) | Q(label__icontains=term)).values_list("pk", flat=True)
    return (
        Q(model__icontains=term)
        | Q(requested_model__icontains=term)
        | Q(organization_id__in=organizations_named(term))
        | Q(api_key_id__in=list(keys[:MAX_NAMED]))
    )


def uuid_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
