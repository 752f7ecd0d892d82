"""The guards: tenant data is reached through these and nothing else."""

import re
from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from accounts.models import ApiKey, ApiKeyQuerySet, Membership, User

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
Row = TypeVar("Row", bound=Model)


def in_organization(rows: QuerySet[Row], organization_id: UUID) -> QuerySet[Row]:
    """The rows that belong to the organization; another tenant's do not exist."""
    return rows.filter(organization_id=organization_id)


def keys_of(organization_id: UUID) -> ApiKeyQuerySet:
    """The inference keys that are not deleted; management keys are not managed through the API."""
    return ApiKey.objects.filter(organization_id=organization_id, is_management=False, deleted_at=None)


def get_key(organization_id: UUID, key_hash: str) -> ApiKey:
    """Raises ApiKey.DoesNotExist."""
    if not HASH.fullmatch(key_hash):
        raise ApiKey.DoesNotExist
    return keys_of(organization_id).get(hash=key_hash)


def get_member(organization_id: UUID, user_id: UUID) -> User:
    """Raises Membership.DoesNotExist."""
    return Membership.objects.select_related("user").get(organization_id=organization_id, user_id=user_id).user


def get_membership(user: User, organization_id: UUID | None) -> Membership:
    """The user's place in that organization, or in their personal one. Raises Membership.DoesNotExist."""
    own = Membership.objects.select_related("organization").filter(user=user)
    if organization_id is None:
        # They may be members of another's personal organization too; their own was the first.
        return own.filter(organization__is_personal=True).earliest("pk")
    return own.get(organization_id=organization_id)


MANAGERS = frozenset({Membership.Role.OWNER, Membership.Role.ADMIN})


def shown_keys(member: Membership) -> ApiKeyQuerySet:
    """Every key of the organization that is not deleted, management keys too: all members may see that they exist."""
    return ApiKey.objects.filter(organization=member.organization, deleted_at=None)


def may_create_key(member: Membership, *, is_management: bool = False) -> bool:
    return member.role in MANAGERS or (member.role == Membership.Role.DEVELOPER and not is_management)


def may_change_key(member: Membership, key: ApiKey) -> bool:
    """Developers change the inference keys that they made themselves."""
    is_own = key.created_by_id == member.user_id
    return member.role in MANAGERS or (is_own and may_create_key(member, is_management=key.is_management))
