"""Who is in an organization: founding it, invitations, roles, leaving. Each verb is one transaction.

The organization's row is locked where its last owner might go, so two of them cannot leave each other behind.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ApiKey, Invitation, Membership, Organization, User

Role = Membership.Role


class MembershipError(Exception):
    """Why it cannot be, as a sentence for the person who asked."""


def found(name: str, owner: User) -> Organization:
    with transaction.atomic():
        organization = Organization.objects.create(name=name)
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    return organization


def change(organization: Organization, *, name: str, keeps_content: bool) -> None:
    organization.name = name
    organization.keeps_content = keeps_content
    organization.save(update_fields=["name", "keeps_content"])


def set_notices_email(organization: Organization, address: str) -> None:
    organization.notices_email = address
    organization.save(update_fields=["notices_email"])


def suspend(organization: Organization, why: str) -> bool:
    """Says whether it was not yet. It can be read, but not used or changed: every process knows within a second."""
    rows = Organization.objects.filter(pk=organization.pk, suspended_at=None)
    return bool(rows.update(suspended_at=timezone.now(), suspension=why))


def resume(organization: Organization) -> bool:
    """Says whether it was suspended."""
    rows = Organization.objects.filter(pk=organization.pk).exclude(suspended_at=None)
    return bool(rows.update(suspended_at=None, suspension=""))


def invite(organization: Organization, *, email: str, role: str, invited_by: User) -> Invitation:
    """The one open invitation of this address; an earlier one ends. Raises MembershipError."""
    email = email.strip().lower()
    with transaction.atomic():
        _lock(organization.pk)
        if Membership.objects.filter(organization=organization, user__email=email).exists():
            raise MembershipError("This person is a member already.")
        Invitation.objects.filter(organization=organization, email=email, closed_at=None).update(
            closed_at=timezone.now()
        )
        return Invitation.objects.create(organization=organization, email=email, role=role, invited_by=invited_by)


def close(invitation: Invitation) -> bool:
    """Says whether it was still open."""
    return bool(Invitation.objects.open().filter(pk=invitation.pk).update(closed_at=timezone.now()))


def accept(invitation: Invitation, user: User) -> Membership:
    """Raises MembershipError."""
    if invitation.email != user.email:
        raise MembershipError(f"This invitation is for {invitation.email}. Log in with that address.")
    with transaction.atomic():
        organization = _lock(invitation.organization_id)
        if organization.is_suspended:
            raise MembershipError(organization.suspension_notice)
        if not close(invitation):
            raise MembershipError("This invitation was withdrawn or used already, or its week is over.")
        member, _ = Membership.objects.get_or_create(
            organization_id=invitation.organization_id, user=user, defaults={"role": invitation.role}
        )
    return member


def change_role(member: Membership, role: str) -> None:
    """Raises MembershipError when nobody would own the organization."""
    with transaction.atomic():
        _lock(member.organization_id)
        if role != Role.OWNER:
            _demand_other_owner(member, "make somebody else an owner first")
        member.role = role
        member.save(update_fields=["role"])


def hand_over(owner: Membership, heir: Membership) -> None:
    """The heir owns it, the owner stays as an admin."""
    with transaction.atomic():
        change_role(heir, Role.OWNER)
        change_role(owner, Role.ADMIN)


def remove(member: Membership, *, with_keys: bool) -> int:
    """Ends a membership; switches off the keys that the member made, if asked to. Returns how many.

    Raises MembershipError when nobody would own the organization, or it is the member's own personal one.
    """
    with transaction.atomic():
        organization = _lock(member.organization_id)
        if organization.is_personal and member.role == Role.OWNER:
            raise MembershipError("A personal organization stays with its owner.")
        _demand_other_owner(member, "hand the organization over first")
        Membership.objects.filter(pk=member.pk).delete()
        return _disable(keys_made_by(member)) if with_keys else 0


def keys_made_by(member: Membership) -> QuerySet[ApiKey]:
    """The live keys of the organization that this member made, and so may still know."""
    return ApiKey.objects.live().filter(organization_id=member.organization_id, created_by_id=member.user_id)


def _lock(organization_id: UUID) -> Organization:
    return Organization.objects.select_for_update().get(pk=organization_id)


def _demand_other_owner(member: Membership, hint: str) -> None:
    others = Membership.objects.filter(organization_id=member.organization_id, role=Role.OWNER).exclude(pk=member.pk)
    if not others.exists():
        raise MembershipError(f"An organization needs an owner: {hint}.")


def _disable(keys: QuerySet[ApiKey]) -> int:
    changed = list(keys)
    for key in changed:
        key.is_disabled = True
        key.save(update_fields=["is_disabled", "updated_at"])
    return len(changed)
