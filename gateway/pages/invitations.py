"""Links of invitations. The operator's are for one address and one sign-up, an organization's for a row; signed."""

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Invitation

SALT = "turnpike.invitation"
ROW_SALT = "turnpike.organization"
MAX_AGE_S = 7 * 24 * 3600
PARAMETER = "invitation"


def link(email: str) -> str:
    token = signing.dumps(email.strip().lower(), salt=SALT)
    return f"{settings.PUBLIC_URL}{reverse('account_signup')}?{PARAMETER}={token}"


def organization_link(invitation: Invitation) -> str:
    token = signing.dumps(invitation.pk, salt=ROW_SALT)
    return f"{settings.PUBLIC_URL}{reverse('page-invitation', args=[token])}"


def invitation_id(token: str) -> int | None:
    try:
        pk: int = signing.loads(token, salt=ROW_SALT)
    except signing.BadSignature:
        return None
    return pk


def remember(request: HttpRequest, invitation: Invitation) -> None:
    """Who has an organization's link may sign up with its address, which the mail has proved to be theirs."""
    get_adapter().stash_verified_email(request, invitation.email)
    request.session[PARAMETER] = signing.dumps(invitation.email, salt=SALT)


def email_of(request: HttpRequest) -> str | None:
    """Whom this visitor's invitation is for. The session keeps it for the form's POST."""
    token = request.GET.get(PARAMETER) or request.session.get(PARAMETER, "")
    try:
        email: str = signing.loads(token, salt=SALT, max_age=MAX_AGE_S)
    except signing.BadSignature:
        return None
    request.session[PARAMETER] = token
    return email
