"""How much is left: wallets, budgets, holds, the ledger, and the record of every generation.

The till (billing/sql/till.sql) writes wallets, budgets, holds and generations; nothing else does, but for `ledger.py`,
which moves a wallet's credit together with the entry that says why.
"""

from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Organization, User


class WalletManager(models.Manager["Wallet"]):
    def for_organization(self, organization: Organization) -> "Wallet":
        return self.get_or_create(organization=organization)[0]


class Wallet(models.Model):
    """An organization's prepaid credit, in nano-USD."""

    class Billing(models.TextChoices):
        PREPAID = "prepaid"
        UNLIMITED = "unlimited", "Unlimited: metered, never refused for want of credit"

    organization = models.OneToOneField(Organization, models.PROTECT, primary_key=True, related_name="wallet")
    credit = models.BigIntegerField(default=0, db_default=0, help_text="Sum of all entries that are not usage.")
    spent = models.BigIntegerField(default=0, db_default=0, help_text="Sum of all charges.")
    held = models.BigIntegerField(default=0, db_default=0, help_text="Sum of all open holds.")
    version = models.BigIntegerField(default=0, db_default=0, help_text="Raised with every change of credit.")
    # What settlements have added since the last posting to the ledger.
    unposted_charge = models.BigIntegerField(default=0, db_default=0)
    unposted_cost = models.BigIntegerField(default=0, db_default=0)
    unposted_fee = models.BigIntegerField(default=0, db_default=0)
    unposted_write_off = models.BigIntegerField(default=0, db_default=0)
    billing = models.CharField(
        max_length=16, choices=Billing.choices, default=Billing.PREPAID, db_default=Billing.PREPAID
    )

    objects: ClassVar[WalletManager] = WalletManager()

    def __str__(self) -> str:
        return f"wallet of {self.organization_id}"

    @property
    def spendable(self) -> int:
        return self.credit - self.spent - self.held


class Markup(models.Model):
    """What customers pay on top of list prices: an organization's, a model's, or of the one for the other."""

    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="+", help_text="Empty: every organization."
    )
    model = models.CharField(
        max_length=200,
        blank=True,
        validators=[RegexValidator(r"^[^/\s]+/[^/\s]+$", "author/slug.")],
        help_text="author/slug; empty: every model.",
    )
    millionths = models.IntegerField(help_text="Of the list price; below 0 takes off.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "model"], nulls_distinct=False, name="billing_markup_once"),
            models.CheckConstraint(condition=models.Q(millionths__gte=-(10**6)), name="billing_markup_not_below_free"),
        ]

    def __str__(self) -> str:
        return f"markup on {self.model or 'every model'} for {self.organization or 'everybody'}"


class Budget(models.Model):
    """What was held and used under one limit: an API key's (its id is the key's), later a member's or workspace's.

    A counter belongs to the period beside it; a period that has passed counts as 0 (`till.sql` rolls it on).
    """

    id = models.UUIDField(primary_key=True)
    held = models.BigIntegerField(default=0, db_default=0)
    used = models.BigIntegerField(default=0, db_default=0)
    day = models.DateField()
    used_day = models.BigIntegerField(default=0, db_default=0)
    week = models.DateField()
    used_week = models.BigIntegerField(default=0, db_default=0)
    month = models.DateField()
    used_month = models.BigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"budget {self.id}"


class Hold(models.Model):
    """Credit set aside for the worst case of one generation; its row is the only right to charge."""

    generation = models.UUIDField(primary_key=True)
    organization = models.ForeignKey(Organization, models.DO_NOTHING, db_constraint=False, related_name="+")
    wallet_amount = models.BigIntegerField(help_text="Held of the wallet, nano-USD.")
    list_amount = models.BigIntegerField(help_text="Held of the budgets, nano-USD.")
    progress = models.BigIntegerField(default=0, db_default=0, help_text="Used so far, as last noted; nano-USD.")
    cost = models.BigIntegerField(null=True, help_text="What providers ask for it so far, as last noted; nano-USD.")
    due_tick = models.BigIntegerField(help_text="Expires when the tick has come this far.")
    budgets = ArrayField(models.UUIDField())
    idempotency = models.UUIDField(null=True, help_text="Of a request that is to be answered once.")
    record = models.JSONField(help_text="What the generation's row will say if its process never comes back.")

    class Meta:
        # No index but the key: the few thousand open holds are scanned by the tick, and touching stays a HOT update.
        indexes: ClassVar[list[models.Index]] = []

    def __str__(self) -> str:
        return f"hold of {self.generation}"


class Idempotency(models.Model):
    """A request that is to be answered once, and for 24 hours its answer. The till writes it with hold and charge."""

    id = models.UUIDField(primary_key=True, help_text="Made of the key and its Idempotency-Key.")
    organization_id = models.UUIDField()
    generation = models.UUIDField()
    body_hash = models.CharField(max_length=64)
    answer = models.TextField(null=True, help_text="Encrypted; empty when it was too large.")  # noqa: DJ001
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return f"idempotency of {self.generation}"


class Tick(models.Model):
    """The till's own clock, one row: it goes on while the till is up, never more than one tick in five seconds."""

    value = models.BigIntegerField(default=0, db_default=0)
    ticked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"tick {self.value}"


class Generation(models.Model):
    """One request by a client and its outcome. Partitioned by its id, a UUIDv7; slugs and amounts, no foreign keys."""

    class Outcome(models.TextChoices):
        OK = "ok"
        ERROR = "error"
        CANCELLED = "cancelled"
        EXPIRED = "expired", "Expired: its process never came back"

    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    api_key_id = models.UUIDField(null=True)
    api_type = models.CharField(max_length=16, db_default="completions")
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    requested_model = models.CharField(max_length=200, db_default="")
    model = models.CharField(max_length=200, db_default="")
    provider = models.CharField(max_length=64, db_default="", help_text="Slug.")
    provider_name = models.CharField(max_length=100, db_default="")
    endpoint_id = models.UUIDField(null=True)
    endpoint_tag = models.CharField(max_length=128, db_default="")
    price_id = models.BigIntegerField(null=True, help_text="The price row that the hold pinned.")

    charge = models.BigIntegerField(db_default=0, help_text="Taken from the wallet, nano-USD.")
    list_charge = models.BigIntegerField(db_default=0, help_text="Counted against budgets, nano-USD.")
    cost = models.BigIntegerField(db_default=0, help_text="What the attempts cost us upstream, nano-USD.")
    write_off = models.BigIntegerField(db_default=0, help_text="Used beyond hold and free credit, nano-USD.")
    is_estimated = models.BooleanField(db_default=False, help_text="The provider sent no usage.")

    prompt_tokens = models.IntegerField(db_default=0)
    completion_tokens = models.IntegerField(db_default=0)
    reasoning_tokens = models.IntegerField(db_default=0)
    cached_tokens = models.IntegerField(db_default=0)
    cache_write_tokens = models.IntegerField(db_default=0)
    # Of few rows only (gateway/particulars.py)
    media_prompt = models.IntegerField(null=True, help_text="Images, files, audio and videos of the prompt.")
    audio_prompt = models.IntegerField(null=True, help_text="Of these, audio.")
    media_completion = models.IntegerField(null=True, help_text="Images of the answer.")
    image_tokens = models.IntegerField(null=True, help_text="Of the answer.")
    cache_discount = models.BigIntegerField(null=True, help_text="Saved by the provider's cache, nano-USD.")
    service_tier = models.CharField(max_length=16, null=True)  # noqa: DJ001

    streamed = models.BooleanField(db_default=False)
    finish_reason = models.CharField(max_length=32, null=True)  # noqa: DJ001  the API tells null from a word
    native_finish_reason = models.CharField(max_length=64, null=True)  # noqa: DJ001
    latency_ms = models.IntegerField(null=True, help_text="To the first token.")
    generation_ms = models.IntegerField(null=True, help_text="To the end of the answer.")
    upstream_id = models.CharField(max_length=200, null=True)  # noqa: DJ001
    attempts = models.JSONField(db_default=models.Value([], output_field=models.JSONField()))
    error = models.CharField(max_length=500, db_default="")

    http_referer = models.CharField(max_length=500, null=True)  # noqa: DJ001
    app_title = models.CharField(max_length=200, null=True)  # noqa: DJ001
    user_agent = models.CharField(max_length=500, null=True)  # noqa: DJ001
    session_id = models.CharField(max_length=256, null=True)  # noqa: DJ001
    external_user = models.CharField(max_length=256, null=True)  # noqa: DJ001
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(db_default=models.functions.Now())

    class Meta:
        indexes = [
            models.Index(fields=["organization_id", "-id"], name="billing_generation_of_org"),
            # Rows come in the order of closed_at, so block ranges find an hour, at next to no cost for the till.
            BrinIndex(fields=["closed_at"], name="billing_generation_closed_at", autosummarize=True),
        ]

    def __str__(self) -> str:
        return str(self.id)


class GenerationContent(models.Model):
    """What was asked and answered, of organizations that keep it (billing/contents.py)."""

    generation = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    sealed = models.TextField(help_text="Encrypted JSON.")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"content of {self.generation}"


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
        indexes = [models.Index(fields=["organization", "-id"], name="billing_transaction_of_org")]

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


class Promotion(models.Model):
    """Promotional credit as it was given: spent before other credit, the first to expire first."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="promotions")
    given_by = models.OneToOneField(LedgerTransaction, models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    remaining = models.BigIntegerField(help_text="Of the amount, neither spent nor expired; as far as usage is posted.")
    expires_at = models.DateTimeField(null=True, help_text="Empty: never.")

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


NO_ID = models.Value(UUID(int=0), output_field=models.UUIDField())


class Usage(models.Model):
    """Sums over the generations that closed in one period (billing/usage.py writes them, nothing else)."""

    organization_id = models.UUIDField()
    api_key_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200, help_text="That answered; the one asked for if none did.")
    provider = models.CharField(max_length=64, help_text="Slug; empty if none answered.")
    provider_name = models.CharField(max_length=100)
    endpoint_id = models.UUIDField(null=True)

    requests = models.BigIntegerField()
    errors = models.BigIntegerField(help_text="Of the requests: failed, or their process never came back.")
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    charge = models.BigIntegerField(help_text="nano-USD, as the next three.")
    list_charge = models.BigIntegerField()
    cost = models.BigIntegerField()
    write_off = models.BigIntegerField(db_default=0)

    class Meta:
        abstract = True


class UsageHour(Usage):
    hour = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization_id",
                "hour",
                Coalesce("api_key_id", NO_ID),
                "model",
                "provider",
                Coalesce("endpoint_id", NO_ID),
                name="billing_usage_hour_once",
            )
        ]

    def __str__(self) -> str:
        return f"usage of {self.hour:%Y-%m-%d %H}h"


class UsageDay(Usage):
    day = models.DateField(db_index=True, help_text="UTC.")

    class Meta:
        verbose_name = verbose_name_plural = "margin"
        indexes = [models.Index(fields=["model", "day"], name="billing_usage_day_model")]
        constraints = [
            models.UniqueConstraint(
                "organization_id",
                "day",
                Coalesce("api_key_id", NO_ID),
                "model",
                "provider",
                Coalesce("endpoint_id", NO_ID),
                name="billing_usage_day_once",
            )
        ]

    def __str__(self) -> str:
        return f"usage of {self.day}"


class UsageMark(models.Model):
    """How far the roll-ups have come, one row."""

    rolled_up_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"rolled up until {self.rolled_up_until}"


# Django finds an app's models in this module only.
import billing.payments.models  # noqa: E402, F401
