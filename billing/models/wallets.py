"""What an organization has, and what its prices and budgets are."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models

from accounts.models import Organization


class WalletManager(models.Manager["Wallet"]):
    def for_organization(self, organization: Organization) -> "Wallet":
        return self.get_or_create(organization=organization)[0]

    def locked(self, organization: Organization) -> "Wallet":
        """The till waits until the transaction ends."""
        self.for_organization(organization)
        return self.select_for_update(no_key=True).get(organization=organization)


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
