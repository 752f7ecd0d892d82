"""Amounts as people read and write them: USD with up to 9 decimals. Inside they are integers of nano-USD."""

import re
from decimal import Decimal

NANO_PER_USD = 10**9
# A billion dollars: sums of a few such amounts still fit into a bigint.
MAX_NANO = 10**9 * NANO_PER_USD
AMOUNT = re.compile(r"[+-]?[0-9]{1,10}(\.[0-9]{1,9})?", re.ASCII)


def usd(nano: int) -> str:
    """Exact, with two decimals at least: 1500000000 is "1.50"."""
    whole, part = divmod(abs(nano), NANO_PER_USD)
    decimals = f"{part:09}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole:,}.{decimals}"


def plain(nano: int) -> str:
    """As it is typed, and as spreadsheets read it: "1500.00"."""
    return usd(nano).replace(",", "")


def nano(text: str) -> int:
    """Raises ValueError for what is not a plain decimal of USD with at most 9 decimals."""
    if not AMOUNT.fullmatch(text):
        raise ValueError("must be an amount of USD with at most 9 decimals, such as 12.50")
    amount = int(Decimal(text) * NANO_PER_USD)
    if abs(amount) > MAX_NANO:
        raise ValueError("must be a billion USD at most")
    return amount
