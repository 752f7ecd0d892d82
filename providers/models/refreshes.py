"""Catalogue files that wait for a review."""

from django.db import models
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import User


class Refresh(models.Model):
    """A catalogue file that waits for an operator's word, change by change (providers/refreshes.py)."""

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"
        REPLACED = "replaced", "Replaced by a newer one"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(max_length=200, help_text="The file's name.")
    text = models.TextField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    proposed_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    proposed_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    summary = models.JSONField(default=dict, help_text="Changes when it was proposed, by kind.")
    decided = models.JSONField(default=list, help_text="Changes that were accepted or rejected, and by whom.")

    class Meta:
        verbose_name = "catalogue refresh"
        verbose_name_plural = "catalogue refreshes"
        constraints = [
            models.UniqueConstraint(
                fields=["source"], condition=models.Q(state="open"), name="providers_refresh_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} of {self.proposed_at:%Y-%m-%d %H:%M}"
