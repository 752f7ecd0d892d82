"""API keys: `sk-tp-v1-` + 43 base62 (256 bits) + 6 base62 (CRC32 of the rest).

The checksum lets a mistyped or made-up key be refused without asking the database, and scanners recognise a leaked one.
"""

import hmac
import re
import secrets
import string
import zlib
from datetime import datetime
from functools import cache
from typing import TypedDict, Unpack
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts.models import ApiKey, Organization, User

PREFIX = "sk-tp-v1-"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Two digits a division: a generation id is written on each request.
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


class Limits(TypedDict, total=False):
    """`limit_reset` is "" for a limit that never begins anew."""

    limit_nano: int | None
    limit_reset: str
    expires_at: datetime | None


class NewKey(Limits, total=False):
    external_user: str | None
    is_playground: bool
    visitor: UUID


class Changes(Limits, total=False):
    name: str
    is_disabled: bool


def issue(
    organization: Organization,
    *,
    name: str,
    created_by: User | None = None,
    is_management: bool = False,
    **more: Unpack[NewKey],
) -> tuple[ApiKey, str]:
    """The new key's row, and its plaintext, which exists nowhere else."""
    token = generate()
    key = ApiKey.objects.create(
        organization=organization,
        created_by=created_by,
        name=name,
        label=f"{token[: len(PREFIX) + 3]}...{token[-3:]}",
        hash=digest(token),
        is_management=is_management,
        **more,
    )
    return key, token


def change(key: ApiKey, changes: Changes) -> None:
    """Writes these columns and no other, so that a deletion at the same moment stands."""
    for name, value in changes.items():
        setattr(key, name, value)
    key.save(update_fields=[*changes, "updated_at"])


def delete(key: ApiKey) -> None:
    """The row stays: generations name it."""
    now = timezone.now()
    ApiKey.objects.filter(pk=key.pk, deleted_at=None).update(deleted_at=now, updated_at=now)


def find(token: str) -> ApiKey | None:
    """The live key with this plaintext."""
    if not is_well_formed(token):
        return None
    return ApiKey.objects.live().select_related("organization", "created_by").filter(hash=digest(token)).first()


def generate() -> str:
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return body + checksum(body)


def is_well_formed(token: str) -> bool:
    return SHAPE.fullmatch(token) is not None and checksum(token[:-CHECKSUM_LENGTH]) == token[-CHECKSUM_LENGTH:]


def digest(token: str) -> str:
    """The `hash` of the keys API: HMAC-SHA256 in hex under the server's pepper."""
    return hmac.digest(pepper(), token.encode(), "sha256").hex()


@cache
def pepper() -> bytes:
    return bytes(settings.KEY_PEPPER, "utf-8")


def checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def base62(number: int, length: int) -> str:
    """Exactly `length` digits."""
    digits = []
    for _ in range(0, length, 2):
        number, pair = divmod(number, len(PAIRS))
        digits.append(PAIRS[pair])
    return "".join(reversed(digits))[-length:]
