"""Who: users, organizations, memberships and API keys, and what was done to them."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, cast
from uuid import UUID, uuid5

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.ids import uuid7

INVITATION_LASTS = timedelta(days=7)


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user with a personal organization; without a password they cannot log in until they reset it."""
        with transaction.atomic():
            user = self.model(email=email.strip().lower(), **fields)
            user.set_password(password)
            user.save(using=self._db)
            Organization.objects.create_personal(user)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True, help_text="Kept in lower case.")
    name = models.CharField(max_length=200, blank=True)
    is_staff = models.BooleanField(default=False, help_text="May log in to the admin.")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="accounts_user_email_lower")
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def personal_organization(self) -> "Organization":
        # They may be members of another's personal organization too; their own was the first.
        own = self.memberships.filter(organization__is_personal=True).select_related("organization")
        return own.earliest("pk").organization


class OrganizationManager(models.Manager["Organization"]):
    def create_personal(self, user: User) -> "Organization":
        organization = self.create(name=user.name or user.email, is_personal=True)
        Membership.objects.create(organization=organization, user=user, role=Membership.Role.OWNER)
        return organization


# How often a spending limit begins anew: at 00:00 UTC, weeks on Monday.
Window = Literal["daily", "weekly", "monthly"]


class Budgeted(models.Model):
    """What an administrator lets somebody spend (`billing.budgets.set_budget` writes it, and begins to count)."""

    class Every(models.TextChoices):
        DAILY = "daily"
        WEEKLY = "weekly"
        MONTHLY = "monthly"

    budget_nano = models.BigIntegerField(null=True, blank=True, help_text="Spending budget in nano-USD.")
    budget_reset = models.CharField(
        max_length=8, choices=Every.choices, blank=True, db_default="", help_text="Empty: for all time."
    )

    class Meta:
        abstract = True

    @property
    def budget_id(self) -> UUID:
        """Of the counters that belong to it."""
        raise NotImplementedError

    @property
    def budget_window(self) -> Window | None:
        return cast(Window, self.budget_reset) if self.budget_reset else None


class Organization(Budgeted):
    """The tenant: owns keys, wallet and settings."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    is_personal = models.BooleanField(default=False)
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of all its keys; empty: no limit."
    )
    keeps_content = models.BooleanField(
        default=False, db_default=False, help_text="Prompts and answers are kept, encrypted, as long as the requests."
    )
    notices_email = models.EmailField(
        blank=True, db_default="", help_text="Gets mail about money, beside the members who do."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    objects: ClassVar[OrganizationManager] = OrganizationManager()

    def __str__(self) -> str:
        return self.name

    @property
    def budget_id(self) -> UUID:
        return self.pk


class Membership(Budgeted):
    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        BILLING = "billing"
        DEVELOPER = "developer"
        VIEWER = "viewer"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    notices = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="Which mail they chose to get or not (accounts/notices.py)."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="accounts_membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} as {self.role}"

    @property
    def budget_id(self) -> UUID:
        """Made of both, so that who leaves and comes back has spent what they have spent."""
        return uuid5(self.organization_id, str(self.user_id))


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> "ApiKeyQuerySet":
        """Keys that may call now. The till asks the same of the row itself (billing/sql/till.sql)."""
        unexpired = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(unexpired, is_disabled=False, deleted_at=None)


class ApiKey(models.Model):
    """`sk-tp-v1-…`, shown once; only its HMAC is stored (accounts/keys.py)."""

    class Reset(models.TextChoices):
        DAILY = "daily"
        WEEKLY = "weekly"
        MONTHLY = "monthly"

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
    limit_reset = models.CharField(max_length=8, choices=Reset.choices, blank=True)
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


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> "InvitationQuerySet":
        return self.filter(closed_at=None, expires_at__gt=timezone.now())


def in_a_week() -> datetime:
    return timezone.now() + INVITATION_LASTS


class Invitation(models.Model):
    """An address asked into an organization. Open until it is accepted, withdrawn or sent anew, or its week is over."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField(help_text="Kept in lower case.")
    role = models.CharField(max_length=16, choices=Membership.Role.choices)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(default=in_a_week)
    closed_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"], condition=models.Q(closed_at=None), name="accounts_invitation_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization} as {self.role}"


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
    api_key = models.OneToOneField(ApiKey, models.CASCADE, null=True, blank=True, related_name="routing_policy")
    denies_collection = models.BooleanField(
        default=False, help_text="Only providers that do not train on data and are not known to keep it."
    )
    needs_zdr = models.BooleanField(default=False, help_text="Only providers with zero data retention.")
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


class AuditEvent(models.Model):
    """Who did what to what, and from where (accounts/audit.py). Never changed or deleted: a trigger refuses."""

    class Verb(models.TextChoices):
        CREATE = "create"
        UPDATE = "update"
        DELETE = "delete"
        ENABLE = "enable"
        DISABLE = "disable"
        SET_PASSWORD = "set_password"
        INVITE = "invite"
        JOIN = "join"
        LEAVE = "leave"
        REMOVE = "remove", "Remove member"
        TRANSFER = "transfer", "Transfer ownership"
        SECURE = "secure", "Change two-factor log-in"
        IMPORT = "import", "Import catalogue"
        GRANT = "grant", "Grant credit"
        CORRECT = "correct", "Correct credit"

    # No constraints: an event outlives what it tells of.
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    organization = models.ForeignKey(
        Organization, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    verb = models.CharField(max_length=32, choices=Verb.choices)
    target_type = models.CharField(max_length=100, help_text="Of the row, such as accounts.apikey.")
    target_id = models.CharField(max_length=64)
    address = models.GenericIPAddressField(null=True)
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="accounts_audit_of_org"),
            models.Index(fields=["actor", "-id"], name="accounts_audit_of_actor"),
            models.Index(fields=["target_id", "-id"], name="accounts_audit_of_target"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target_type} {self.target_id}"


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
    limit_reset = models.CharField(max_length=8, choices=ApiKey.Reset.choices, blank=True)
    key_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"code for {self.key_name}"
