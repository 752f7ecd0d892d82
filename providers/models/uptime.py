"""How providers and endpoints have been doing."""

from datetime import timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from providers.models.catalogue import Endpoint, Provider
from providers.statistics import uptime


class ProbeQuerySet(models.QuerySet["Probe"]):
    def within(self, window: timedelta) -> "ProbeQuerySet":
        return self.filter(checked_at__gt=timezone.now() - window)

    def uptime(self, window: timedelta) -> dict[str, float]:
        """The share of probes that found it up, 0 to 1, by the provider's slug; who was not probed is not in it."""
        share = models.Avg(models.Case(models.When(is_up=True, then=1.0), default=0.0))
        rows = self.within(window).values("provider__slug").annotate(share=share).order_by()
        return dict(rows.values_list("provider__slug", "share"))


class Probe(models.Model):
    """What a provider's models list said, at most once a minute (providers/health.py)."""

    HALF_AN_HOUR = timedelta(minutes=30)

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="probes")
    minute = models.DateTimeField()
    checked_at = models.DateTimeField(db_index=True)
    is_up = models.BooleanField()
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status; empty if none came.")
    latency_ms = models.PositiveIntegerField(help_text="To the head of the answer, or to the failure.")
    error = models.CharField(max_length=64, blank=True, help_text="Why none came.")

    objects = ProbeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "minute"], name="providers_probe_once_a_minute")]

    def __str__(self) -> str:
        return f"{self.provider} {'up' if self.is_up else 'down'} at {self.checked_at:%Y-%m-%d %H:%M}"


class UptimeQuerySet(models.QuerySet["Uptime"]):
    def last_day(self, by: str) -> dict[Any, float]:
        """Per cent over 24 whole hours, by `endpoint` or what it has; who has too few samples is not in it."""
        hours = self.filter(span=Uptime.Span.HOUR, begins_at__gte=timezone.now() - timedelta(days=1))
        rows = hours.values(by).annotate(good=models.Sum("successes"), bad=models.Sum("faults")).order_by()
        found = {row[by]: uptime(row["good"], row["bad"]) for row in rows}
        return {key: share for key, share in found.items() if share is not None}


class Uptime(models.Model):
    """How an endpoint did in a minute, an hour or a day: its requests, or its provider's probe where it had none.

    How fast it was is told of requests alone.
    """

    class Span(models.TextChoices):
        MINUTE = "minute"
        HOUR = "hour"
        DAY = "day"

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="uptimes")
    span = models.CharField(max_length=6, choices=Span)
    begins_at = models.DateTimeField()
    successes = models.PositiveBigIntegerField(default=0)
    faults = models.PositiveBigIntegerField(default=0)
    # Sums and how many are in them, which add up over time as medians do not.
    latency_count = models.PositiveBigIntegerField(default=0, db_default=0)
    latency_ms_sum = models.PositiveBigIntegerField(default=0, db_default=0, help_text="To the first token.")
    throughput_count = models.PositiveBigIntegerField(default=0, db_default=0)
    throughput_sum = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Tokens a second.")

    objects = UptimeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "span", "begins_at"], name="providers_uptime_once")]
        indexes = [models.Index(fields=["span", "begins_at"], name="providers_uptime_span")]

    def __str__(self) -> str:
        return f"{self.endpoint_id} in the {self.span} from {self.begins_at:%Y-%m-%d %H:%M}"


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> "IncidentQuerySet":
        return self.filter(closed_at=None)


class Incident(models.Model):
    """A time in which a provider, or one endpoint of it, did not answer as it should."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="incidents")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, null=True, blank=True, related_name="incidents")
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    cause = models.CharField(max_length=200, help_text="Public: what was seen, without a provider's own words.")

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "endpoint"],
                condition=models.Q(closed_at=None),
                nulls_distinct=False,
                name="providers_incident_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} from {self.opened_at:%Y-%m-%d %H:%M}"
