"""Why a payment did not happen."""


class PaymentError(Exception):
    """Stripe did not do what was asked. The text is Stripe's and may be shown to who pays."""


class Away(PaymentError):
    """No answer, or none that says whether it was done: ask again with the same idempotency key."""


class Declined(PaymentError):
    """The card was not charged."""

    def __init__(self, message: str, intent: str | None = None) -> None:
        super().__init__(message)
        self.intent = intent


class Rejected(PaymentError):
    """Stripe refuses what was asked, and would again."""


class Mismatch(Exception):
    """Stripe and our row do not mean the same payment."""


class BadSignature(Exception):
    """Whoever sent this does not know the webhook secret."""


class NotAllowed(Exception):
    """The text says why, to who asked."""
