"""Prices in the admin: a history that only grows."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone

from accounts.audited import Audited
from accounts.choosing import Choosing
from providers.dollars import dollars
from providers.forms import PriceForm
from providers.models import Price


def amount(name: str) -> Any:
    """A column with a price in USD."""

    @admin.display(description=f"{name.replace('_', ' ')} (USD)", ordering=name)
    def column(price: Price) -> str:
        pico = getattr(price, name)
        return "" if pico is None else dollars(pico)

    return column


AMOUNTS = tuple(amount(name) for name in Price.AMOUNTS)


@admin.register(Price)
class PriceAdmin(Choosing, Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows are never changed: saving the page of one appends a row."""

    form = PriceForm
    list_display = ("endpoint", *AMOUNTS[:2], "source", "as_of", "effective_from", "effective_until")
    list_filter = ("endpoint__provider", "as_of", "effective_from")
    search_fields = ("endpoint__model__slug", "endpoint__tag", "source")
    autocomplete_fields = ("endpoint",)
    fields = ("endpoint", *Price.AMOUNTS, "discount", "overrides", "is_end", "source", "as_of")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        later = Q(effective_from__gt=OuterRef("effective_from")) | Q(
            effective_from=OuterRef("effective_from"), pk__gt=OuterRef("pk")
        )
        following = Price.objects.filter(later, endpoint=OuterRef("endpoint")).order_by("effective_from", "pk")
        return (
            Price.objects.select_related("endpoint__model", "endpoint__provider")
            .annotate(until=Subquery(following.values("effective_from")[:1]))
            .order_by("-effective_from", "-pk")
        )

    @admin.display(empty_value="in force")
    def effective_until(self, price: Price) -> Any:
        return vars(price)["until"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("endpoint",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        if change and not form.has_changed():
            return
        obj.pk = None
        obj._state.adding = True
        obj.effective_from = obj.created_at = timezone.now()
        obj.save()
