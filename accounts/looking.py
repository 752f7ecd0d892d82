"""An operator looks at the pages of an organization as a viewer of it: half an hour, no changes, all on record."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from msgspec import Struct

from accounts import audit
from accounts.models import Membership, Organization, User

SESSION_KEY = "looking"
LASTS_S = 30 * 60
PERMISSION = "accounts.look_as_organization"
# Of a path in an audit event.
MOST_PATH = 500


class Looking(Struct, frozen=True):
    organization: Organization
    until: datetime


def begin(request: HttpRequest, organization: Organization, why: str) -> None:
    if SESSION_KEY in request.session:
        end(request, "another one")
    request.session[SESSION_KEY] = {"organization": str(organization.pk), "until": time.time() + LASTS_S}
    audit.record(request, audit.Verb.BEGIN_LOOK, organization, organization_id=organization.pk, details={"reason": why})


def end(request: HttpRequest, how: str) -> UUID | None:
    """The organization that was looked at."""
    told = request.session.pop(SESSION_KEY, None)
    if told is None:
        return None
    organization = UUID(told["organization"])
    target = (Organization._meta.label_lower, str(organization))
    audit.record(request, audit.Verb.END_LOOK, target, organization_id=organization, details={"how": how})
    return organization


def resume(request: HttpRequest) -> Looking | None:
    """What the session's operator looks at; None when their time or their permission is over, or it is gone."""
    told: dict[str, Any] = request.session[SESSION_KEY]
    user = request.user
    if time.time() >= told["until"] or not isinstance(user, User) or not user.has_perm(PERMISSION):
        return None
    organization = Organization.objects.filter(pk=told["organization"]).first()
    if organization is None:
        return None
    member = Membership(organization=organization, user=user, role=Membership.Role.VIEWER)
    request.looking = member  # type: ignore[attr-defined]
    return Looking(organization, datetime.fromtimestamp(told["until"], UTC))


def current(request: HttpRequest) -> Membership | None:
    """The place that the operator looks from, in no table."""
    found: Membership | None = getattr(request, "looking", None)
    return found


def record_page(request: HttpRequest, looking: Looking) -> None:
    details = {"path": request.path[:MOST_PATH]}
    pk = looking.organization.pk
    audit.record(request, audit.Verb.LOOK, looking.organization, organization_id=pk, details=details)
