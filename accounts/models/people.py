"""Users, organizations, and who is in which."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, cast
from uuid import UUID, uuid5

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
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
    def personal_membership(self) -> "Membership":
        # They may be members of another's personal organization too; their own was the first.
        return self.memberships.filter(organization__is_personal=True).select_related("organization").earliest("pk")

    @property
    def personal_organization(self) -> "Organization":
        return self.personal_membership.organization


class OrganizationManager(models.Manager["Organization"]):
    def create_personal(self, user: User) -> "Organization":
        organization = self.create(name=user.name or user.email, is_personal=True)
        Membership.objects.create(organization=organization, user=user, role=Membership.Role.OWNER)
        return organization


# How often a spending limit begins anew: at 00:00 UTC, weeks on Monday.
Window = Literal["daily", "weekly", "monthly"]


class Every(models.TextChoices):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Budgeted(models.Model):
    """What an administrator lets somebody spend (`billing.budgets.set_budget` writes it, and begins to count)."""

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
    suspended_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since then it makes no requests and changes nothing."
    )
    suspension = models.CharField(
        max_length=500, blank=True, db_default="", editable=False, help_text="Why; its members read it."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    objects: ClassVar[OrganizationManager] = OrganizationManager()

    class Meta:
        permissions = [("look_as_organization", "Can look at the pages of an organization as a member would")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None

    @property
    def suspension_notice(self) -> str:
        why = f" {self.suspension}" if self.suspension else ""
        return f"This organization is suspended: it can be read, but not used or changed.{why}"

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
