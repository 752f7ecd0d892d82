"""What a top-up costs: credit and fee, in cents, within the operator's limits."""

from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings


def fee(credit_cents: int) -> int:
    """A share and a fixed part, and not less than the least fee; half a cent is rounded up."""
    share = Decimal(credit_cents) * settings.TOPUP_FEE_PERCENT / 100 + settings.TOPUP_FEE_FIXED_CENTS
    cents = int(share.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return max(cents, settings.TOPUP_FEE_MIN_CENTS)


def is_allowed(credit_cents: int) -> bool:
    smallest: int = settings.TOPUP_MIN_CENTS
    largest: int = settings.TOPUP_MAX_CENTS
    return smallest <= credit_cents <= largest


def usd(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def described_fee() -> str:
    """As a sentence's part, for the page that sells; empty without a fee."""
    parts = []
    if settings.TOPUP_FEE_PERCENT:
        parts.append(f"{settings.TOPUP_FEE_PERCENT.normalize():f} %")
    if settings.TOPUP_FEE_FIXED_CENTS:
        parts.append(usd(settings.TOPUP_FEE_FIXED_CENTS))
    least = f"{usd(settings.TOPUP_FEE_MIN_CENTS)}" if settings.TOPUP_FEE_MIN_CENTS else ""
    if not parts:
        return least
    return " + ".join(parts) + (f", at least {least}" if least else "")
