"""What tokens cost. Prices are pico-USD (1e-12) a token or unit, amounts nano-USD (1e-9)."""

import re
from decimal import Decimal

from msgspec import Struct

from providers.canonical import Usage

PICO = 10**12
PICO_PER_NANO = 1000
# Far above any price: a figure beyond it was meant per million tokens, or is a slip. The bigint ends later.
MOST_DOLLARS = 1_000_000
DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


class Price(Struct, frozen=True):
    """A price row; None is "not charged apart": cached tokens then cost what prompt tokens do."""

    id: int
    prompt: int
    completion: int
    request: int | None = None
    image: int | None = None
    input_cache_read: int | None = None
    input_cache_write: int | None = None
    internal_reasoning: int | None = None

    @property
    def is_free(self) -> bool:
        return not (self.prompt or self.completion or self.request)

    def amount(self, usage: Usage) -> int:
        """nano-USD, rounded once, half up."""
        return nano(self.prompt_part(usage) + self.completion_part(usage))

    def prompt_part(self, usage: Usage) -> int:
        """pico-USD, the price of the request itself included."""
        read = self.prompt if self.input_cache_read is None else self.input_cache_read
        write = self.prompt if self.input_cache_write is None else self.input_cache_write
        plain = usage.prompt - usage.cached - usage.cache_write
        return plain * self.prompt + usage.cached * read + usage.cache_write * write + (self.request or 0)

    def completion_part(self, usage: Usage) -> int:
        """pico-USD."""
        reasoning = self.completion if self.internal_reasoning is None else self.internal_reasoning
        return (usage.completion - usage.reasoning) * self.completion + usage.reasoning * reasoning

    def bound(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The most that a request of this size can cost: nano-USD, rounded up."""
        prompt = max(self.prompt, self.input_cache_read or 0, self.input_cache_write or 0)
        completion = max(self.completion, self.internal_reasoning or 0)
        return -(-(prompt_tokens * prompt + completion_tokens * completion + (self.request or 0)) // PICO_PER_NANO)

    def affordable_completion(self, amount: int, prompt_tokens: int) -> int | None:
        """How many completion tokens fit into `amount` beside the prompt; None is any number, negative none."""
        completion = max(self.completion, self.internal_reasoning or 0)
        rest = amount - self.bound(prompt_tokens, 0)
        if rest < 0:
            return -1
        return rest * PICO_PER_NANO // completion if completion else None


def nano(pico: int) -> int:
    return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO


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
