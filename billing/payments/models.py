"""Payments: how an organization pays, its top-ups, refunds and disputes, and what Stripe told us.

Amounts are US cents, as at Stripe; the ledger's are nano-USD. Rows say what became of a payment; credit itself moves in
`billing/ledger.py` alone, in the transaction that changes the row.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Organization, User

NANO_PER_CENT = 10**7
CURRENCY = "usd"


# Of a billing profile's wallet, nano-USD. What is held for open requests is not counted: most of it comes back.
LEFT = Coalesce(F("organization__wallet__credit") - F("organization__wallet__spent"), 0)


class BillingProfile(models.Model):
    """How an organization pays, when it does so by itself, and when it wants mail."""

    organization = models.OneToOneField(Organization, models.PROTECT, primary_key=True, related_name="billing_profile")
    stripe_customer = models.CharField(max_length=255, null=True, unique=True)  # noqa: DJ001  unique, so null
    payment_method = models.CharField(max_length=255, blank=True, help_text="Of Stripe; the card itself is there only.")
    card_brand = models.CharField(max_length=32, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    card_expiry = models.CharField(max_length=7, blank=True, help_text="12/2030")
    is_automatic = models.BooleanField(default=False, help_text="Tops up by itself.")
    threshold_cents = models.BigIntegerField(default=200, help_text="Tops up when less than this is left.")
    amount_cents = models.BigIntegerField(default=2500, help_text="Credit of an automatic top-up.")
    failures = models.SmallIntegerField(default=0, help_text="Automatic top-ups that failed since the last success.")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="No automatic top-up before this.")
    low_balance_cents = models.BigIntegerField(null=True, blank=True, help_text="Mail when less than this is left.")
    low_balance_mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold_cents__gte=0) & Q(amount_cents__gt=0), name="billing_profile_automatic"
            )
        ]

    def __str__(self) -> str:
        return f"billing profile of {self.organization_id}"

    @property
    def card(self) -> str:
        return f"{self.card_brand.title()} ···· {self.card_last4}" if self.payment_method else ""


class TopUpQuerySet(models.QuerySet["TopUp"]):
    def locked(self, pk: UUID) -> "TopUp":
        """As it is now, and nobody else at it until the transaction ends."""
        return self.select_for_update(of=("self",)).select_related("organization").get(pk=pk)

    def in_metadata(self, named: str) -> "TopUp | None":
        """What we have named so at Stripe; others may write anything there."""
        try:
            return self.filter(pk=UUID(named)).first()
        except ValueError:
            return None


class TopUp(models.Model):
    """Credit that was asked for, paid or not."""

    class Source(models.TextChoices):
        CHECKOUT = "checkout", "Checkout page"
        AUTOMATIC = "automatic"

    class Status(models.TextChoices):
        PENDING = "pending"
        PAID = "paid"
        FAILED = "failed"
        EXPIRED = "expired", "Expired: not paid in time"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="top_ups")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    source = models.CharField(max_length=16, choices=Source.choices)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    credit_cents = models.BigIntegerField()
    fee_cents = models.BigIntegerField(default=0)
    saves_card = models.BooleanField(default=False)
    stripe_session = models.CharField(max_length=255, null=True, unique=True)  # noqa: DJ001  unique, so null
    stripe_intent = models.CharField(max_length=255, null=True, unique=True)  # noqa: DJ001  unique, so null
    error = models.CharField(max_length=500, blank=True)
    posted = models.OneToOneField("billing.LedgerTransaction", models.PROTECT, null=True, related_name="top_up")
    created_at = models.DateTimeField(default=timezone.now)
    paid_at = models.DateTimeField(null=True)

    objects = TopUpQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="billing_top_up_of_org"),
            models.Index(fields=["created_at"], name="billing_top_up_pending", condition=Q(status="pending")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(credit_cents__gt=0, fee_cents__gte=0), name="billing_top_up_amount"),
            models.CheckConstraint(
                condition=Q(status="paid", posted__isnull=False, paid_at__isnull=False)
                | (~Q(status="paid") & Q(posted=None)),
                name="billing_top_up_paid",
            ),
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(source="automatic", status="pending"),
                name="billing_top_up_automatic_once",
            ),
        ]

    def __str__(self) -> str:
        return f"top-up {self.pk}"

    @property
    def total_cents(self) -> int:
        return self.credit_cents + self.fee_cents

    @property
    def reference(self) -> str:
        return f"top-up:{self.pk}"

    @property
    def receipt_number(self) -> str:
        """Rises with the ledger; there are gaps."""
        return f"{self.paid_at:%Y}-{self.posted_id:08}" if self.paid_at else ""

    @property
    def credit_left_cents(self) -> int:
        """Of what was paid: what no refund or dispute has taken back or is about to."""
        return max(self.credit_cents - self._returned("credit_cents"), 0)

    @property
    def fee_left_cents(self) -> int:
        return max(self.fee_cents - self._returned("fee_cents"), 0)

    def _returned(self, column: str) -> int:
        refunds = self.refunds.exclude(status=Refund.Status.REFUSED)
        disputes = self.disputes.exclude(status=Dispute.Status.WON)
        taken: list[int] = [*refunds.values_list(column, flat=True), *disputes.values_list(column, flat=True)]
        return sum(taken)


class RefundQuerySet(models.QuerySet["Refund"]):
    def waiting(self) -> "RefundQuerySet":
        """Taken a minute ago or longer: who took it asks Stripe at once."""
        since = timezone.now() - timedelta(minutes=1)
        return self.filter(status=Refund.Status.TAKEN, created_at__lt=since).select_related("top_up")


class Refund(models.Model):
    """Credit taken back and its payment returned; the row is there before Stripe is asked."""

    class Status(models.TextChoices):
        TAKEN = "taken", "Taken from the wallet; Stripe has not answered yet"
        PAID = "paid", "Paid back"
        REFUSED = "refused", "Refused; credit again"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="refunds")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", help_text="Empty: at Stripe.")
    credit_cents = models.BigIntegerField()
    fee_cents = models.BigIntegerField(default=0)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.TAKEN)
    stripe_refund = models.CharField(max_length=255, null=True, unique=True)  # noqa: DJ001  unique, so null
    reason = models.CharField(max_length=500)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = RefundQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="billing_refund_taken", condition=Q(status="taken"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(credit_cents__gte=0, fee_cents__gte=0) & ~Q(credit_cents=0, fee_cents=0),
                name="billing_refund_amount",
            )
        ]

    def __str__(self) -> str:
        return f"refund {self.pk}"

    @property
    def reference(self) -> str:
        return f"refund:{self.pk}"


class Dispute(models.Model):
    """A payment that its payer has their bank take back."""

    class Status(models.TextChoices):
        OPEN = "open"
        WON = "won", "Won; credit again"
        LOST = "lost"

    stripe_dispute = models.CharField(max_length=255, unique=True)
    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="disputes")
    credit_cents = models.BigIntegerField()
    fee_cents = models.BigIntegerField(default=0)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    reason = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"dispute {self.stripe_dispute}"

    @property
    def reference(self) -> str:
        return f"dispute:{self.stripe_dispute}"


class StripeEvent(models.Model):
    """What Stripe sent and signed, as it came. It says what to ask about, and nothing else of it is believed."""

    id = models.CharField(primary_key=True, max_length=255)
    type = models.CharField(max_length=100)
    payload = models.TextField()
    received_at = models.DateTimeField(default=timezone.now)
    attempts = models.SmallIntegerField(default=0)
    processed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["received_at"], name="billing_event_waiting", condition=Q(processed_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class PromoCode(models.Model):
    """A word that gives promotional credit: once to each organization, to so many of them."""

    code = models.CharField(max_length=40, unique=True, help_text="Letters, digits and dashes; capitals do not matter.")
    amount_nano = models.BigIntegerField(verbose_name="credit")
    max_uses = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="The code; empty for never.")
    credit_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days after which the credit given expires; empty for never."
    )
    is_disabled = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_nano__gt=0), name="billing_promo_amount"),
            models.CheckConstraint(condition=Q(uses__lte=F("max_uses")), name="billing_promo_uses"),
        ]

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.code = self.code.strip().upper()
        super().save(*args, **kwargs)


class Redemption(models.Model):
    promo_code = models.ForeignKey(PromoCode, models.PROTECT, related_name="redemptions")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    redeemed_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    posted = models.OneToOneField("billing.LedgerTransaction", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["promo_code", "organization"], name="billing_redemption_once")]

    def __str__(self) -> str:
        return f"{self.promo_code} by {self.organization_id}"


class BudgetNotice(models.Model):
    """A mail about a budget: once for each window and level."""

    budget_id = models.UUIDField()
    window_began = models.DateField(help_text="1970-01-01 for a budget of all time.")
    percent = models.SmallIntegerField()
    limit_nano = models.BigIntegerField(help_text="Another limit is another budget.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget_id", "window_began", "percent", "limit_nano"], name="billing_budget_notice_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.budget_id}"
