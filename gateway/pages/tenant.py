"""Which of the user's organizations the pages show: the one they chose last, else their personal one."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_POST
from rest_framework.permissions import SAFE_METHODS

from accounts import access, looking
from accounts.models import Membership, User

SESSION_KEY = "organization"


def membership(request: HttpRequest) -> Membership:
    """Where the user acts. Raises PermissionDenied when they would change something of a suspended organization."""
    member = where(request)
    if member.organization.is_suspended and request.method not in SAFE_METHODS:
        raise PermissionDenied(member.organization.suspension_notice)
    return member


def where(request: HttpRequest) -> Membership:
    if (looked_at := looking.current(request)) is not None:
        return looked_at
    chosen = request.session.get(SESSION_KEY)
    own = memberships(request)
    # When what they chose is not among them they have left it since, or it is gone.
    return next((member for member in own if str(member.organization_id) == chosen), personal(own))


def memberships(request: HttpRequest) -> list[Membership]:
    """The user's, asked for once in a request."""
    if (looked_at := looking.current(request)) is not None:
        return [looked_at]
    found: list[Membership] | None = getattr(request, "memberships", None)
    if found is None:
        found = request.memberships = list(access.memberships(user_of(request)))  # type: ignore[attr-defined]
    return found


def personal(own: list[Membership]) -> Membership:
    # They may be members of another's personal organization too; their own was the first.
    return next(member for member in own if member.organization.is_personal)


@login_required
@require_POST
def choose_organization(request: HttpRequest) -> HttpResponse:
    try:
        member = access.get_membership(user_of(request), UUID(request.POST.get("organization", "")))
    except (ValueError, Membership.DoesNotExist):
        raise Http404 from None
    choose(request, member.organization_id)
    return redirect("dashboard")


def choose(request: HttpRequest, organization_id: UUID) -> None:
    request.session[SESSION_KEY] = str(organization_id)


def forget_choice(request: HttpRequest) -> None:
    request.session.pop(SESSION_KEY, None)


def user_of(request: HttpRequest) -> User:
    """The user of a view behind `login_required`."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def menu(request: HttpRequest) -> dict[str, Any]:
    """For the menu of every page: where the user is, and where else they may go."""
    return {
        "tenant": SimpleLazyObject(lambda: where(request)),
        "tenants": SimpleLazyObject(lambda: memberships(request)),
    }
