"""API keys, and the codes that are exchanged for one."""

from typing import cast

from django.db import models
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models.people import Every, Organization, User, Window


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> "ApiKeyQuerySet":
        """Keys that may call now. The till asks the same of the row itself (billing/sql/till.sql)."""
        unexpired = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(unexpired, is_disabled=False, deleted_at=None)


class ApiKey(models.Model):
    """`sk-tp-v1-…`, shown once; only its HMAC is stored (accounts/keys.py)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="api_keys")
    name = models.CharField(max_length=200)
    label = models.CharField(max_length=32, editable=False, help_text="The key with its middle masked.")
    hash = models.CharField(max_length=64, unique=True, editable=False)
    is_management = models.BooleanField(default=False, help_text="Manages keys; cannot run inference.")
    is_playground = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Of a page of the playground; not among people's keys.",
    )
    visitor = models.UUIDField(
        null=True, editable=False, help_text="Of a visitor of the playground: whence they come (accounts/visitors.py)."
    )
    is_disabled = models.BooleanField(default=False)
    limit_nano = models.BigIntegerField(null=True, blank=True, help_text="Spending limit in nano-USD.")
    limit_reset = models.CharField(max_length=8, choices=Every.choices, blank=True)
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: no limit.")
    expires_at = models.DateTimeField(null=True, blank=True)
    external_user = models.CharField(  # noqa: DJ001  the API tells null from a word
        max_length=256, null=True, blank=True, help_text="For whom an integrator made it, as their own system says."
    )
    last_used_at = models.DateTimeField(
        null=True, editable=False, help_text="As of the last roll-up (billing/usage.py)."
    )
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(limit_nano=None) | models.Q(limit_nano__gte=0), name="accounts_apikey_limit"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.label})"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def window(self) -> Window | None:
        return cast(Window, self.limit_reset) if self.limit_reset else None


class AuthorizationCode(models.Model):
    """What a person has agreed to: an application may exchange it once for a key of theirs (accounts/codes.py)."""

    class Method(models.TextChoices):
        S256 = "S256"
        PLAIN = "plain"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    hash = models.CharField(max_length=64, unique=True, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    callback_url = models.CharField(max_length=2000, blank=True, help_text="Empty: the code was shown to the person.")
    challenge = models.CharField(max_length=128, blank=True)
    method = models.CharField(max_length=8, choices=Method.choices, blank=True)
    key_name = models.CharField(max_length=200)
    limit_nano = models.BigIntegerField(null=True)
    limit_reset = models.CharField(max_length=8, choices=Every.choices, blank=True)
    key_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"code for {self.key_name}"
