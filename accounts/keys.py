"""API keys: `sk-tp-v1-` + 43 base62 (256 bits) + 6 base62 (CRC32 of the rest).

The checksum lets a mistyped or made-up key be refused without asking the database, and scanners recognise a leaked one.
"""

import hmac
import re
import secrets
import string
import zlib
from functools import cache

from django.conf import settings

from accounts.models import ApiKey, Organization, User

PREFIX = "sk-tp-v1-"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Two digits a division: a generation id is written on each request.
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


def issue(
    organization: Organization, *, name: str, created_by: User | None = None, is_management: bool = False
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
    )
    return key, token


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
