"""Mail about money. It leaves when the transaction that it is written in stands (accounts/mail.py)."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.core.mail import EmailMessage
from django.db.models import Q
from django.template.loader import render_to_string

from accounts.models import Membership, User
from accounts.roles import MANAGERS, MATRIX, Right


def to_payers(organization_id: UUID, name: str, context: Mapping[str, Any]) -> None:
    """To all who may pay for the organization."""
    members = Membership.objects.filter(organization=organization_id, role__in=MATRIX[Right.PAY], user__is_active=True)
    send(members.values_list("user__email", flat=True), name, context)


def to_managers_and(user: User | None, organization_id: UUID, name: str, context: Mapping[str, Any]) -> None:
    """To owners and admins, and to the user while they are a member."""
    members = Membership.objects.filter(organization=organization_id, user__is_active=True)
    wanted = members.filter(Q(role__in=MANAGERS) | Q(user=user) if user else Q(role__in=MANAGERS))
    send(wanted.values_list("user__email", flat=True), name, context)


def send(recipients: Iterable[str], name: str, context: Mapping[str, Any]) -> None:
    """The template's first line is the subject. A message each: members need not learn each other's addresses."""
    subject, _, body = render_to_string(f"billing/mail/{name}.txt", dict(context)).partition("\n")
    # Names in it may hold what would end a header's line.
    subject = " ".join(subject.split())
    for recipient in sorted(set(recipients)):
        EmailMessage(subject, body.strip() + "\n", to=[recipient]).send()
