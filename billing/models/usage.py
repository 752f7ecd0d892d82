"""Generations summed up by hour and by day."""

from uuid import UUID

from django.db import models
from django.db.models.functions import Coalesce

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


def once_a(period: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(
        "organization_id",
        period,
        Coalesce("api_key_id", NO_ID),
        "model",
        "provider",
        Coalesce("endpoint_id", NO_ID),
        name=f"billing_usage_{period}_once",
    )


class UsageHour(Usage):
    hour = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [once_a("hour")]

    def __str__(self) -> str:
        return f"usage of {self.hour:%Y-%m-%d %H}h"


class UsageApp(models.Model):
    """An hour of an organization by the name that its requests gave their application."""

    hour = models.DateTimeField(db_index=True)
    organization_id = models.UUIDField()
    app = models.CharField(max_length=500, help_text="Title or address; empty if a request said neither.")
    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    charge = models.BigIntegerField(help_text="nano-USD.")

    class Meta:
        indexes = [models.Index(fields=["organization_id", "hour"], name="billing_usage_app_of_org")]

    def __str__(self) -> str:
        return f"usage of {self.hour:%Y-%m-%d %H}h by {self.app}"


class UsageDay(Usage):
    day = models.DateField(db_index=True, help_text="UTC.")

    class Meta:
        verbose_name = verbose_name_plural = "margin"
        constraints = [once_a("day")]

    def __str__(self) -> str:
        return f"usage of {self.day}"


class UsageTotal(models.Model):
    """What a day comes to by organization, by model or by provider alone: what is asked of all organizations together.

    A trigger on the sums by day writes it (billing/sql/totals.sql), nothing else does.
    """

    class By(models.TextChoices):
        ORGANIZATION = "organization"
        MODEL = "model"
        PROVIDER = "provider"

    day = models.DateField(help_text="UTC.")
    by = models.CharField(max_length=16, choices=By.choices)
    name = models.CharField(max_length=200, help_text="Id of the organization, or slug.")
    requests = models.BigIntegerField()
    errors = models.BigIntegerField()
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    charge = models.BigIntegerField(help_text="nano-USD, as the next two.")
    cost = models.BigIntegerField()
    write_off = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["by", "day", "name"], name="billing_usage_total_once")]

    def __str__(self) -> str:
        return f"usage of {self.day} by {self.by}"


class UsageMark(models.Model):
    """How far the roll-ups have come, one row."""

    rolled_up_until = models.DateTimeField()
    apps_since = models.DateTimeField(null=True, help_text="From here on every hour has its sums by application.")

    def __str__(self) -> str:
        return f"rolled up until {self.rolled_up_until}"
