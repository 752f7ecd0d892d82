"""What customers pay against what providers ask, from the totals by day: bounded, however many requests there were."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from msgspec import Struct

from accounts.admin import ReadOnly
from accounts.models import Organization
from billing.models import UsageDay, UsageMark, UsageTotal
from billing.money import usd

DAYS = 30
MOST_ROWS = 200
By = UsageTotal.By
SUMS = ("requests", "errors", "charge", "cost", "write_off")


class MarginForm(forms.Form):
    by = forms.ChoiceField(choices=By.choices)
    since = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), help_text="UTC, this day included.")


class Row(Struct, frozen=True):
    """Amounts in USD, as they are shown; `share` is the margin's of the charge, in per cent."""

    name: str
    requests: int
    errors: int
    charge: str
    cost: str
    margin: str
    share: str
    write_off: str


@admin.register(UsageDay)
class MarginAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    """There is nothing to look at but the report."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = MarginForm({**defaults(), **request.GET.dict()})
        context = {**self.admin_site.each_context(request), "title": "Margin", "opts": self.opts, "form": form}
        if form.is_valid():
            days = (form.cleaned_data["since"], form.cleaned_data["until"])
            totals = UsageTotal.objects.filter(day__range=days, requests__gt=0)
            context |= {
                "rows": grouped(totals, By(form.cleaned_data["by"])),
                "total": row("Total", summed(totals)),
                "most_rows": MOST_ROWS,
                "mark": UsageMark.objects.first(),
            }
        return render(request, "admin/billing/margin.html", context)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


def defaults() -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"by": "organization", "since": str(today - timedelta(days=DAYS - 1)), "until": str(today)}


def grouped(totals: QuerySet[UsageTotal], by: By) -> list[Row]:
    """Those with the greatest charges and, among these, costs."""
    sums = totals.filter(by=by).values("name").annotate(**{name: Sum(name) for name in SUMS})
    found: list[dict[str, Any]] = [*sums.order_by("-charge", "-cost", "name")[:MOST_ROWS]]  # type: ignore[list-item]
    names = names_of([sum_["name"] for sum_ in found]) if by == By.ORGANIZATION else {}
    return [row(names.get(sum_["name"], sum_["name"]), sum_) for sum_ in found]


def summed(totals: QuerySet[UsageTotal]) -> dict[str, Any]:
    """Of everything: there are fewest rows by provider."""
    return totals.filter(by=By.PROVIDER).aggregate(**{name: Sum(name, default=0) for name in SUMS})


def names_of(organizations: list[str]) -> dict[str, str]:
    found = Organization.objects.filter(pk__in=[UUID(pk) for pk in organizations]).values_list("pk", "name")
    return {str(pk): name for pk, name in found}


def row(name: object, sums: dict[str, Any]) -> Row:
    charge, cost = sums["charge"], sums["cost"]
    return Row(
        name=str(name) or "none answered",
        requests=sums["requests"],
        errors=sums["errors"],
        charge=usd(charge),
        cost=usd(cost),
        margin=usd(charge - cost),
        share=f"{100 * (charge - cost) / charge:.1f}" if charge else "–",
        write_off=usd(sums["write_off"]),
    )
