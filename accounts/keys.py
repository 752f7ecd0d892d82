"""API keys: `sk-tp-v1-` + 43 base62 (256 bits) + 6 base62 (CRC32 of the rest).

The checksum lets a mistyped or made-up key be refused without asking the database, and scanners recognise a leaked one.
"""

import hmac
import re
import secrets
import string
import zlib
from hashlib import sha256

from django.conf import settings

from accounts.models import ApiKey, Organization, User

PREFIX = "sk-tp-v1-"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
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
    return hmac.digest(settings.KEY_PEPPER.encode(), token.encode(), sha256).hex()


def checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
