"""What organizations and keys say of routing."""

from django.db import models

from accounts.models.keys import ApiKey
from accounts.models.people import Organization


class RoutingPolicy(models.Model):
    """Which providers may answer an organization's requests, or those of one key of it (accounts/policy.py)."""

    class Sort(models.TextChoices):
        PRICE = "price", "Lowest price first"
        THROUGHPUT = "throughput", "Most tokens a second first"
        LATENCY = "latency", "Shortest wait first"
        EXACTO = "exacto", "Best with tools first"

    organization = models.OneToOneField(
        Organization, models.CASCADE, null=True, blank=True, related_name="routing_policy"
    )
    api_key = models.OneToOneField(
        ApiKey, models.CASCADE, verbose_name="API key", null=True, blank=True, related_name="routing_policy"
    )
    denies_collection = models.BooleanField(
        "denies data collection",
        default=False,
        help_text="Only providers that do not train on data and are not known to keep it.",
    )
    needs_zdr = models.BooleanField(
        "needs zero data retention", default=False, help_text="Only providers with zero data retention."
    )
    allowed_providers = models.JSONField(default=list, blank=True, help_text="Slugs or tags; empty: all.")
    ignored_providers = models.JSONField(default=list, blank=True, help_text="Slugs or tags.")
    sort = models.CharField(max_length=16, choices=Sort.choices, blank=True, help_text="Empty: balanced by price.")
    preferences = models.JSONField(
        default=dict, blank=True, help_text="A `provider` object for what a request does not say itself."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "routing policies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(organization=None) ^ models.Q(api_key=None), name="accounts_policy_of_one"
            )
        ]

    def __str__(self) -> str:
        return f"Routing of {self.organization or self.api_key}"
