"""Audit events: written in the transaction of what they tell of, so neither is true without the other."""

from typing import Any
from uuid import UUID

from django import forms
from django.db import models
from django.db.models import Model
from django.http import HttpRequest

from accounts.models import AuditEvent, User

Verb = AuditEvent.Verb


def record(
    request: HttpRequest | None,
    verb: Verb,
    target: Model,
    *,
    organization_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> AuditEvent:
    """Says that the request's user did it, or the system when there is no request. Details hold no secrets."""
    actor = request.user if request is not None else None
    return AuditEvent.objects.create(
        actor=actor if isinstance(actor, User) else None,
        organization_id=organization_id,
        verb=verb,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        # Empty on a unix socket.
        address=request.META.get("REMOTE_ADDR") or None if request is not None else None,
        details=details or {},
    )


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
