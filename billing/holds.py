"""An open hold, as the process that opened it knows it."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from accounts.models import Window
from billing.errors import Refused
from billing.money import MAX_NANO

# A hold expires 60 s after its last touch at the earliest; after this long without one the answer must stop.
TRUSTED_S = 40.0


class Hold:
    """The right to charge, as long as it is touched in time. Amounts are nano-USD."""

    __slots__ = (
        "amount",
        "budgets",
        "extender",
        "generation",
        "limits",
        "on_gone",
        "organization",
        "progress",
        "sent_at",
        "windows",
    )

    def __init__(self, generation: UUID, organization: UUID, budgets: tuple[UUID, ...], amount: int, sent_at: float):
        self.generation = generation
        self.organization = organization
        self.budgets = budgets
        self.limits: tuple[int | None, ...] = ()
        self.windows: tuple[Window | None, ...] = ()
        self.amount = amount
        # When the admit or last touch that succeeded was sent, on the loop's clock.
        self.sent_at = sent_at
        # What was used so far, by the customer's price and by the providers'.
        self.progress: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.on_gone: Callable[[], object] = lambda: None
        self.extender: Callable[[Hold, int, int], Awaitable[None]] | None = None

    def is_trusted(self, now: float) -> bool:
        return now - self.sent_at < TRUSTED_S

    async def extend(self, least: int, want: int) -> None:
        """Makes it `want` in all, at least `least`. Raises Refused, HoldGone or TillAway."""
        if least > MAX_NANO:
            raise Refused("credits", least=least - self.amount, free=0, held=0)
        if self.extender is not None and least > self.amount:
            await self.extender(self, least, min(max(want, least), MAX_NANO))
