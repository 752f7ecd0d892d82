"""Audit events: written in the transaction of what they tell of, so neither is true without the other."""

from typing import Any
from uuid import UUID

from allauth.core.internal.httpkit import get_client_ip
from django import forms
from django.db import models
from django.db.models import Model
from django.http import HttpRequest

from accounts import notices
from accounts.models import AuditEvent, User

Verb = AuditEvent.Verb


def record(
    request: HttpRequest | None,
    verb: Verb,
    target: Model | tuple[str, str],
    *,
    organization_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> AuditEvent:
    """Says that the request's user did it, or the system when there is no request. Details hold no secrets.
    Who watches over the organization is mailed where it changes what others may do (accounts/notices.py).

    A target is a row, or the type and name of what is none.
    """
    target_type, target_id = (target._meta.label_lower, str(target.pk)) if isinstance(target, Model) else target
    actor = request.user if request is not None else None
    event = AuditEvent.objects.create(
        actor=actor if isinstance(actor, User) else None,
        organization_id=organization_id,
        verb=verb,
        target_type=target_type,
        target_id=target_id[:64],
        address=address_of(request) if request is not None else None,
        details=details or {},
    )
    notices.tell_of(event, target)
    return event


def address_of(request: HttpRequest) -> str | None:
    """Who calls: by the connection, or by the header of the proxy in front (PROXY_IP_HEADER). None on a unix socket."""
    address = get_client_ip(request)
    # PostgreSQL's inet knows no zones.
    return address.partition("%")[0] if address else None


def changes(form: forms.BaseForm) -> dict[str, list[Any]]:
    """What a valid form has changed: field → [before, after]."""
    return {
        name: [plain(form.get_initial_for_field(form.fields[name], name)), plain(form.cleaned_data.get(name))]
        for name in form.changed_data
    }


def plain(value: Any) -> Any:
    if isinstance(value, models.QuerySet | list | tuple):
        return sorted(str(one) for one in value)
    return value if value is None or isinstance(value, bool | int) else str(value)
