"""Prices as people and the API write them: decimal strings of USD. Inside they are integers of pico-USD (1e-12)."""

import re
from decimal import Decimal

PICO = 10**12
# Far above any price: a figure beyond it was meant per million tokens, or is a slip. The bigint ends later.
MOST_DOLLARS = 1_000_000
DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


def dollars(pico: int) -> str:
    """A price as the API writes it: USD per token, a plain decimal string without exponent."""
    text = format(Decimal(pico) / PICO, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def pico(text: str) -> int:
    """The way back from `dollars`. Raises ValueError with a reason that can be shown as it is."""
    match = DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("must be a decimal of USD without sign or exponent, like 0.000001")
    whole, decimals = match[1], match[2] or ""
    if len(decimals) > 12:
        raise ValueError(f"has {len(decimals)} decimals; prices go down to 12")
    if len(whole) > 18 or int(whole) >= MOST_DOLLARS:
        raise ValueError(f"must be below {MOST_DOLLARS} USD")
    return int(whole + decimals.ljust(12, "0"))
