"""How pages write amounts, prices and counts: exact, with no more digits than they have. Filters of every template."""

from decimal import Decimal

from django import template

from billing.ledger import NANO_PER_USD
from providers.pricing import PICO

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
