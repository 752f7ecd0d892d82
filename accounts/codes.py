"""Authorization codes (OAuth PKCE, RFC 7636): an application gets a key that its user has agreed to."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, AuthorizationCode, Organization, User

LIFETIME = timedelta(minutes=10)
MOST_URL = 2000
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
CALLBACK = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+([/?][!-~]*)?")
Method = AuthorizationCode.Method


class BadCode(Exception):
    """Unknown, used, expired, or not proven to be the caller's."""


class MethodMismatch(Exception):
    """The method named is not the one that the code was made with."""


class Suspended(Exception):
    """The organization that the code was made in makes no keys now; says so."""


def issue(
    organization: Organization,
    user: User | None,
    *,
    key_name: str,
    callback_url: str = "",
    challenge: str = "",
    method: str = "",
    limit_nano: int | None = None,
    limit_reset: str = "",
    key_expires_at: datetime | None = None,
) -> tuple[AuthorizationCode, str]:
    """The row, and the code itself, which exists nowhere else."""
    code = secrets.token_urlsafe(32)
    now = timezone.now()
    row = AuthorizationCode.objects.create(
        hash=keys.digest(code),
        organization=organization,
        user=user,
        callback_url=callback_url,
        challenge=challenge,
        method=method,
        key_name=key_name,
        limit_nano=limit_nano,
        limit_reset=limit_reset,
        key_expires_at=key_expires_at,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    return row, code


def exchange(code: str, *, verifier: str = "", method: str = "") -> tuple[ApiKey, str]:
    """The key's row and its plaintext. The code is used up.

    Raises BadCode, MethodMismatch or Suspended, and then it is not.
    """
    with transaction.atomic():
        rows = AuthorizationCode.objects.select_for_update(of=("self",)).select_related("organization", "user")
        row = rows.filter(hash=keys.digest(code), expires_at__gt=timezone.now()).first()
        if row is None:
            raise BadCode
        if method and method != row.method:
            raise MethodMismatch
        if row.challenge and not proves(verifier, row):
            raise BadCode
        if row.organization.is_suspended:
            raise Suspended(row.organization.suspension_notice)
        row.delete()
        return keys.issue(
            row.organization,
            name=row.key_name,
            created_by=row.user,
            limit_nano=row.limit_nano,
            limit_reset=row.limit_reset,
            expires_at=row.key_expires_at,
        )


def proves(verifier: str, row: AuthorizationCode) -> bool:
    return hmac.compare_digest(challenge_of(verifier, row.method).encode(), row.challenge.encode())


def challenge_of(verifier: str, method: str) -> str:
    if method == Method.PLAIN:
        return verifier
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def method_of(challenge: str, named: str) -> str:
    """`plain` where none is named, as RFC 7636 has it; none without a challenge."""
    return (named or Method.PLAIN) if challenge else ""


def check_callback(url: str) -> None:
    """HTTPS anywhere, HTTP on the person's own machine at any port. Raises ValidationError."""
    refusal = ValidationError("This is not a URL that a code can be sent to.")
    # What else could end a directive of the page's Content-Security-Policy, or a header.
    if len(url) > MOST_URL or not CALLBACK.fullmatch(url):
        raise refusal
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    if not host or parts.username is not None:
        raise refusal
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL_HOSTS):
        raise ValidationError("It must begin with https://, or be on localhost.")


def with_code(callback_url: str, code: str) -> str:
    parts = urlsplit(callback_url)
    query = f"{parts.query}&{urlencode({'code': code})}" if parts.query else urlencode({"code": code})
    return urlunsplit(parts._replace(query=query))


def origin(callback_url: str) -> str:
    """As a Content-Security-Policy names it."""
    parts = urlsplit(callback_url)
    return f"{parts.scheme}://{parts.netloc}"


def prune() -> None:
    AuthorizationCode.objects.filter(expires_at__lte=timezone.now()).delete()
