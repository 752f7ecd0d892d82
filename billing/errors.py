"""Why money said no."""

from uuid import UUID


class TillError(Exception):
    """The till did not do what was asked."""


class TillAway(TillError):
    """PostgreSQL did not answer in time; nothing was held."""


class KeyRevoked(TillError):
    """The key was disabled, deleted or has expired since it was last looked up."""


class Refused(TillError):
    """A limit is in the way. `by` is "credits" or the budget's id; amounts are nano-USD."""

    def __init__(self, by: str, *, least: int, free: int, held: int) -> None:
        super().__init__(f"refused by {by}")
        self.by = by
        self.least = least
        self.free = free
        self.held = held


class HoldGone(TillError):
    """The hold is no longer open: it expired, so there is no right to charge."""

    def __init__(self, generation: UUID) -> None:
        super().__init__(f"hold of {generation} is gone")


class NotRefundable(Exception):
    """Less than this can be taken back: the rest is spent, held or was never paid for. Amounts are nano-USD."""

    def __init__(self, amount: int, refundable: int) -> None:
        super().__init__(f"{amount} nano-USD cannot be refunded, {refundable} at most")
        self.amount = amount
        self.refundable = refundable


class AlreadyEnded(Exception):
    """The refund or dispute of this reference has ended the other way: its money is credit again."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"{reference} has ended")


class Repeated(TillError):
    """A request with this mark was made before. `state` is different, running, too_large or answered."""

    def __init__(self, state: str, generation: UUID) -> None:
        super().__init__(f"repeated: {state}")
        self.state = state
        self.generation = generation
