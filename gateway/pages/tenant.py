"""Which of the user's organizations the pages show: the one they chose last, else their personal one."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts import access
from accounts.models import Membership, User

SESSION_KEY = "organization"


def membership(request: HttpRequest) -> Membership:
    user = user_of(request)
    chosen = request.session.get(SESSION_KEY)
    try:
        return access.get_membership(user, UUID(chosen) if chosen else None)
    except Membership.DoesNotExist:
        # They have left it since, or it is gone.
        request.session.pop(SESSION_KEY, None)
        return access.get_membership(user, None)


@login_required
@require_POST
def choose_organization(request: HttpRequest) -> HttpResponse:
    try:
        member = access.get_membership(user_of(request), UUID(request.POST.get("organization", "")))
    except (ValueError, Membership.DoesNotExist):
        raise Http404 from None
    request.session[SESSION_KEY] = str(member.organization_id)
    return redirect("dashboard")


def user_of(request: HttpRequest) -> User:
    """The user of a view behind `login_required`."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user
