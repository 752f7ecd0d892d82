"""Generation ids: inside a UUIDv7, outside `gen-<unix seconds>-<15 base62>`, which holds the same bits."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.ids import uuid7
from accounts.keys import ALPHABET, base62

# Of a UUIDv7: 48 bits of milliseconds, 4 of version, 12 random, 2 of variant, 62 random.
VERSION = 7 << 76
VARIANT = 2 << 62
LOW = (1 << 62) - 1
MIDDLE = (1 << 12) - 1
SECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)
TAIL_LENGTH = 15  # base62 digits for the 84 bits that the seconds leave


def new_id() -> UUID:
    return uuid7()


def public_id(generation: UUID) -> str:
    number = generation.int
    seconds, millis = divmod(number >> 80, 1000)
    tail = (millis << 74) | ((number >> 64 & MIDDLE) << 62) | (number & LOW)
    return f"gen-{seconds}-{base62(tail, TAIL_LENGTH)}"


def private_id(public: str) -> UUID | None:
    """The id that `public_id` wrote, or None if it did not write this."""
    prefix, _, rest = public.partition("-")
    seconds, _, digits = rest.partition("-")
    if prefix != "gen" or not SECONDS.fullmatch(seconds) or len(digits) != TAIL_LENGTH:
        return None
    tail = 0
    for digit in digits:
        value = ALPHABET.find(digit)
        if value < 0:
            return None
        tail = tail * len(ALPHABET) + value
    milliseconds = int(seconds) * 1000 + (tail >> 74)
    number = milliseconds << 80 | VERSION | (tail >> 62 & MIDDLE) << 64 | VARIANT | (tail & LOW)
    if number >> 128 or public_id(found := UUID(int=number)) != public:
        return None
    return found


def first_id(moment: datetime) -> UUID:
    """No generation of this moment or later has a smaller id."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def oldest_of(ids: QuerySet[Any], many: int) -> UUID | None:
    """The id before which a search among so many of the newest does not look; None when there are no more than that.

    `ids`: generations that an index finds, newest first. What no index knows is looked for among these alone: a page
    that finds nothing would otherwise read them all.
    """
    found: UUID | None = ids.values_list("id", flat=True)[many : many + 1].first()
    return found
