"""Endpoints in the admin, with their prices and how these came about."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Case, OuterRef, QuerySet, Subquery, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from accounts.choosing import Choosing
from providers.admin.switches import Drained
from providers.dollars import dollars
from providers.forms import EndpointForm, PriceForm
from providers.models import Endpoint, Price
from providers.overrides import published
from providers.rates import MILLION


class PriceHistoryInline(admin.TabularInline):  # type: ignore[type-arg]
    """What the endpoint has cost, newest first."""

    model = Price
    fields = readonly_fields = ("effective_from", "prices", "source", "as_of")
    extra = 0
    can_delete = False
    verbose_name_plural = "Price history"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return Price.objects.select_related("endpoint__model").order_by("-effective_from", "-id")

    @admin.display(description="USD a token or unit")
    def prices(self, price: Price) -> str:
        """Those that it has: most have three of fifteen."""
        if price.is_end:
            return "none any more"
        amounts = [(name, dollars(amount)) for name in Price.AMOUNTS if (amount := getattr(price, name)) is not None]
        discount = [("discount", price.discount / MILLION)] if price.discount else []
        conditions = [("when", json.dumps(row)) for row in published(price.overrides)]
        return format_html_join(mark_safe("<br>"), "{} {}", [*amounts, *discount, *conditions])

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NewPriceInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Price
    form = PriceForm
    fields = (("prompt", "completion"), *Price.AMOUNTS[2:], "discount", "overrides", "is_end", ("source", "as_of"))
    extra = 1
    max_num = 1
    can_delete = False
    verbose_name = verbose_name_plural = "New price (USD a token, from now on)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return Price.objects.none()


class PricedFilter(admin.SimpleListFilter):
    title = "priced"
    parameter_name = "priced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No: not routable")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(current_prompt__isnull=self.value() == "no")


@admin.register(Endpoint)
class EndpointAdmin(Choosing, Drained, admin.ModelAdmin):  # type: ignore[type-arg]
    form = EndpointForm
    list_display = (
        *("model", "tag", "upstream_model", "quantization", "prompt_price", "completion_price"),
        *("is_enabled", "is_draining", "weight", "max_concurrency"),
    )
    list_editable = ("is_enabled", "is_draining", "weight", "max_concurrency")
    list_filter = ("is_enabled", "is_draining", PricedFilter, "provider", "quantization")
    search_fields = ("model__slug", "model__name", "tag", "upstream_model", "provider__name")
    autocomplete_fields = ("model", "provider")
    inlines = (NewPriceInline, PriceHistoryInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        # The prices in force: the newest that has begun.
        prices = Price.objects.filter(endpoint=OuterRef("pk"), effective_from__lte=timezone.now())
        newest = prices.order_by("-effective_from", "-id").annotate(
            own_prompt=Case(When(is_end=False, then="prompt")),
            own_completion=Case(When(is_end=False, then="completion")),
        )
        return (
            Endpoint.objects.select_related("model", "provider")
            .annotate(current_prompt=Subquery(newest.values("own_prompt")[:1]))
            .annotate(current_completion=Subquery(newest.values("own_completion")[:1]))
            .order_by("model__slug", "tag")
        )

    @admin.display(description="prompt (USD)", ordering="current_prompt", empty_value="no price")
    def prompt_price(self, endpoint: Endpoint) -> str | None:
        pico = vars(endpoint)["current_prompt"]
        return None if pico is None else dollars(pico)

    @admin.display(description="completion (USD)", ordering="current_completion", empty_value="no price")
    def completion_price(self, endpoint: Endpoint) -> str | None:
        pico = vars(endpoint)["current_completion"]
        return None if pico is None else dollars(pico)
