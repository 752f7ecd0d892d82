"""Invitations without a table: a signed link for one e-mail address, good for a week and for one sign-up."""

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.urls import reverse

SALT = "turnpike.invitation"
MAX_AGE_S = 7 * 24 * 3600
PARAMETER = "invitation"


def link(email: str) -> str:
    token = signing.dumps(email.strip().lower(), salt=SALT)
    return f"{settings.PUBLIC_URL}{reverse('account_signup')}?{PARAMETER}={token}"


def email_of(request: HttpRequest) -> str | None:
    """Whom this visitor's invitation is for. The session keeps it for the form's POST."""
    token = request.GET.get(PARAMETER) or request.session.get(PARAMETER, "")
    try:
        email: str = signing.loads(token, salt=SALT, max_age=MAX_AGE_S)
    except signing.BadSignature:
        return None
    request.session[PARAMETER] = token
    return email
