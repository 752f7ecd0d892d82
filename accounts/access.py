"""The guards: tenant data is reached through these and nothing else."""

import re
from typing import TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet

from accounts.models import ApiKey, ApiKeyQuerySet, AuditEvent, Invitation, Membership, User
from accounts.roles import MATRIX, Right

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
Row = TypeVar("Row", bound=Model)


def in_organization(rows: QuerySet[Row], organization_id: UUID) -> QuerySet[Row]:
    """The rows that belong to the organization; another tenant's do not exist."""
    return rows.filter(organization_id=organization_id)


# Members


def memberships(user: User) -> QuerySet[Membership]:
    """Where the user is a member, their personal organization first."""
    return Membership.objects.filter(user=user).select_related("organization").order_by("pk")


def maker_of(key: ApiKey) -> Membership | None:
    """Who made it, if they are still a member: what it spends is theirs."""
    if key.created_by_id is None:
        return None
    return Membership.objects.filter(organization_id=key.organization_id, user_id=key.created_by_id).first()


def get_membership(user: User, organization_id: UUID) -> Membership:
    """The user's place in that organization. Raises Membership.DoesNotExist."""
    return memberships(user).get(organization_id=organization_id)


def members_of(organization_id: UUID) -> QuerySet[Membership]:
    return in_organization(Membership.objects.select_related("user", "organization"), organization_id).order_by("pk")


def get_member(organization_id: UUID, user_id: UUID) -> User:
    """Raises Membership.DoesNotExist."""
    return members_of(organization_id).get(user_id=user_id).user


def open_invitations(organization_id: UUID) -> QuerySet[Invitation]:
    return in_organization(Invitation.objects.open(), organization_id).select_related("invited_by").order_by("pk")


def invitation_of(pk: int) -> Invitation | None:
    """An open one, by the number that its signed link holds."""
    return Invitation.objects.open().select_related("organization", "invited_by").filter(pk=pk).first()


def events_of(organization_id: UUID) -> QuerySet[AuditEvent]:
    return in_organization(AuditEvent.objects.select_related("actor"), organization_id).order_by("-id")


# Rights


def may(member: Membership, right: Right) -> bool:
    return member.role in MATRIX[right]


def demand(member: Membership, right: Right) -> None:
    """Raises PermissionDenied with a sentence for the page."""
    if not may(member, right):
        raise PermissionDenied(
            f"Your role here is {member.get_role_display().lower()}. It does not include: {right.label}."
        )


# Keys


def keys_of(organization_id: UUID) -> ApiKeyQuerySet:
    """The inference keys that are not deleted; management keys are not managed through the API."""
    return ApiKey.objects.filter(
        organization_id=organization_id, is_management=False, is_playground=False, deleted_at=None
    )


def get_key(organization_id: UUID, key_hash: str) -> ApiKey:
    """Raises ApiKey.DoesNotExist."""
    return _by_hash(keys_of(organization_id), key_hash)


def all_keys_of(organization_id: UUID) -> QuerySet[ApiKey]:
    """Deleted ones and management keys too: requests and usage name them."""
    return in_organization(ApiKey.objects.all(), organization_id)


def shown_keys(member: Membership) -> ApiKeyQuerySet:
    """Every key of the organization that is not deleted, management keys too: all members may see that they exist."""
    found = ApiKey.objects.filter(organization=member.organization, is_playground=False, deleted_at=None)
    return found.select_related("created_by")


def playground_keys(member: Membership) -> ApiKeyQuerySet:
    """What the member's pages of the playground ask with."""
    return ApiKey.objects.filter(organization=member.organization, created_by=member.user, is_playground=True)


def get_shown_key(member: Membership, key_hash: str) -> ApiKey:
    """Raises ApiKey.DoesNotExist."""
    return _by_hash(shown_keys(member), key_hash)


def may_create_key(member: Membership, *, is_management: bool = False) -> bool:
    return may(member, Right.MANAGE_KEYS if is_management else Right.MAKE_KEYS)


def demand_creation(member: Membership) -> None:
    """Raises PermissionDenied with a sentence for the page."""
    if not may_create_key(member):
        raise PermissionDenied("Your role in this organization does not let you make keys.")


def may_change_key(member: Membership, key: ApiKey) -> bool:
    """Developers change the inference keys that they made themselves."""
    is_own = key.created_by_id == member.user_id
    return may(member, Right.MANAGE_KEYS) or (is_own and may_create_key(member, is_management=key.is_management))


def _by_hash(keys: ApiKeyQuerySet, key_hash: str) -> ApiKey:
    if not HASH.fullmatch(key_hash):
        raise ApiKey.DoesNotExist
    return keys.get(hash=key_hash)
