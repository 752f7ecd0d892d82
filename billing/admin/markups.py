"""Markups in the admin: on top of list prices, for an organization, a model, or the one for the other."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts import audit
from accounts.choosing import Choosing
from billing.models import Markup

PER_CENT = 10_000
MOST_PER_CENT = 1000


class MarkupForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    percent = forms.DecimalField(
        label="Markup (%)",
        min_value=-100,
        max_value=MOST_PER_CENT,
        decimal_places=4,
        help_text="5.5 makes a price of 1.00 one of 1.055; below 0 takes off. Free stays free.",
    )

    class Meta:
        model = Markup
        fields = ("organization", "model")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["percent"] = percent_of(self.instance)

    def save(self, commit: bool = True) -> Any:
        self.instance.millionths = int(self.cleaned_data["percent"] * PER_CENT)
        return super().save(commit)


@admin.register(Markup)
class MarkupAdmin(Choosing, admin.ModelAdmin):  # type: ignore[type-arg]
    form = MarkupForm
    fields = ("organization", "model", "percent")
    list_display = ("scope", "percent")
    search_fields = ("organization__name", "organization__id__exact", "model")
    autocomplete_fields = ("organization",)
    list_select_related = ("organization",)
    ordering = ("organization__name", "model")
    # Each deletion leaves an event of its own.
    actions = None

    @admin.display(description="markup on")
    def scope(self, markup: Markup) -> str:
        return str(markup).removeprefix("markup on ")

    @admin.display(description="%")
    def percent(self, markup: Markup) -> str:
        return f"{percent_of(markup):g}"

    def save_model(self, request: HttpRequest, obj: Markup, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.changed_data:
            record(request, audit.Verb.UPDATE if change else audit.Verb.CREATE, obj, audit.changes(form))

    def delete_model(self, request: HttpRequest, obj: Markup) -> None:
        record(request, audit.Verb.DELETE, obj, {"percent": str(percent_of(obj))})
        super().delete_model(request, obj)


def percent_of(markup: Markup) -> float:
    return markup.millionths / PER_CENT


def record(request: HttpRequest, verb: audit.Verb, markup: Markup, changes: dict[str, Any]) -> None:
    details = {"name": str(markup), **changes}
    audit.record(request, verb, markup, organization_id=markup.organization_id, details=details)
