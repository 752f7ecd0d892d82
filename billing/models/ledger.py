"""The book: transactions, their entries, and what is left of promotional credit."""

from django.db import models
from django.utils import timezone

from accounts.models import Organization, User

BY_HAND = ~models.Q(kind="usage")


class LedgerTransaction(models.Model):
    """A movement of money: entries that sum to zero. Never changed or deleted (triggers refuse)."""

    class Kind(models.TextChoices):
        USAGE = "usage"
        GRANT = "grant"
        CORRECTION = "correction"
        TOP_UP = "top_up", "Top-up"
        REFUND = "refund", "Refund: credit taken, to be paid back"
        REFUND_PAID = "refund_paid", "Refund paid back"
        REFUND_REFUSED = "refund_refused", "Refund not paid back: credit again"
        DISPUTE = "dispute", "Dispute: payment taken back by who paid"
        DISPUTE_WON = "dispute_won", "Dispute won: credit again"
        DISPUTE_LOST = "dispute_lost"
        PROMOTION = "promotion", "Promotional credit"
        EXPIRY = "expiry", "Promotional credit expired"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="ledger_transactions")
    reference = models.CharField(max_length=200, null=True, unique=True, help_text="Posted once.")  # noqa: DJ001
    reason = models.CharField(max_length=500, db_default="")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, db_default=models.functions.Now())

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="billing_transaction_of_org"),
            # Usage is nearly all there is; what else there is is looked for by these.
            models.Index(fields=["-id"], name="billing_transaction_by_hand", condition=BY_HAND),
            models.Index(fields=["kind", "-id"], name="billing_transaction_of_kind", condition=BY_HAND),
            models.Index(fields=["organization", "kind", "-id"], name="billing_transaction_of_both", condition=BY_HAND),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class LedgerEntry(models.Model):
    """One line: positive is credit (what we owe or earned rises), negative is debit. Nano-USD."""

    class Account(models.TextChoices):
        WALLET = "wallet", "Wallet: owed to the organization"
        PROMOTIONAL = "promotional", "Promotional credit: owed to the organization until it expires"
        REVENUE = "revenue"
        WRITE_OFF = "write_off", "Write-off: used beyond what could be charged"
        GRANTS = "grants", "Grants: credit given without payment"
        CORRECTIONS = "corrections", "Corrections by an operator"
        PROVIDER_COST = "provider_cost"
        PROVIDER_PAYABLE = "provider_payable", "Owed to providers"
        FEES = "fees", "Fees: paid beside credit"
        PAYMENT_CLEARING = "payment_clearing", "Payment clearing: what the payment provider holds for us"
        REFUNDS = "refunds", "Refunds under way"
        DISPUTES = "disputes", "Payments in dispute"

    transaction = models.ForeignKey(LedgerTransaction, models.PROTECT, related_name="entries")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    account = models.CharField(max_length=20, choices=Account.choices)
    amount = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["organization", "account"], name="billing_entry_of_account")]

    def __str__(self) -> str:
        return f"{self.account} {self.amount}"


class PromotionQuerySet(models.QuerySet["Promotion"]):
    def due(self) -> "PromotionQuerySet":
        """Their time is over, and something is left of them."""
        return self.filter(remaining__gt=0, expires_at__lte=timezone.now())


class Promotion(models.Model):
    """Promotional credit as it was given: spent before other credit, the first to expire first."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="promotions")
    given_by = models.OneToOneField(LedgerTransaction, models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    remaining = models.BigIntegerField(help_text="Of the amount, neither spent nor expired; as far as usage is posted.")
    expires_at = models.DateTimeField(null=True, help_text="Empty: never.")

    objects = PromotionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["organization", "expires_at"],
                name="billing_promotion_left",
                condition=models.Q(remaining__gt=0),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(remaining__gte=0, remaining__lte=models.F("amount")),
                name="billing_promotion_remaining",
            )
        ]

    def __str__(self) -> str:
        return f"promotion {self.pk}"
