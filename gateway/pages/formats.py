"""How pages write amounts, prices and counts: exact, with no more digits than they have. Filters of every template."""

from decimal import Decimal

from django import template
from django.forms import CheckboxInput, Select
from django.forms.boundfield import BoundField

from billing.money import NANO_PER_USD
from providers.dollars import PICO

register = template.Library()
MILLION = 10**6
NOTHING = "–"


@register.filter
def usd(nano: int | None) -> str:
    """nano-USD as dollars: at least cents, and every further digit that is there."""
    if nano is None:
        return NOTHING
    return ("-" if nano < 0 else "") + dollars(Decimal(abs(nano)) / NANO_PER_USD)


@register.filter
def cents(amount: int) -> str:
    return dollars(Decimal(amount) / 100)


@register.filter
def negative(amount: int) -> int:
    return -amount


@register.filter
def per_million(pico: int | None) -> str:
    """A price of pico-USD per token as dollars per million tokens."""
    return NOTHING if pico is None else dollars(Decimal(pico) * MILLION / PICO)


@register.filter
def tokens(count: int | None) -> str:
    return NOTHING if count is None else f"{count:,}"


def dollars(amount: Decimal) -> str:
    text = f"{amount:,.12f}"
    whole, decimals = text.split(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


@register.filter
def control(field: BoundField) -> str:
    """The form control in the pages' looks."""
    widget = field.field.widget
    kind = "select" if isinstance(widget, Select) else "checkbox" if isinstance(widget, CheckboxInput) else "input"
    attributes: dict[str, str | bool] = {"class": kind if kind == "checkbox" else f"{kind} w-full"}
    if field.errors:
        attributes |= {"aria-invalid": "true", "aria-describedby": f"{field.id_for_label}-error"}
    return field.as_widget(attrs=attributes)
