"""What the till is asked and what it answers (billing/sql/till.sql). Amounts are nano-USD."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from accounts.models import Window

BARE_RECORD = msgspec.Raw(b'{"outcome": "error"}')
CANCELLED_RECORD = msgspec.Raw(b'{"outcome": "cancelled"}')


class Admit(Struct, frozen=True, tag_field="op", tag="admit", omit_defaults=True):
    """Asks for a hold of `want`, at least `least`; in between, one `share`-th of what is free.

    `limits` and `windows` stand beside their budgets; None only counts.
    """

    generation: UUID
    key: UUID
    least: int
    want: int
    share: int
    budgets: tuple[UUID, ...]
    limits: tuple[int | None, ...]
    windows: tuple[Window | None, ...]
    record: msgspec.Raw
    # Of a request that is to be answered once: its mark, and a hash of what it asks.
    idempotency: UUID | None = None
    body: str | None = None


class Extend(Struct, frozen=True, tag_field="op", tag="extend"):
    """Asks that a hold be `want`, at least `least`, in all: so it may be repeated."""

    generation: UUID
    least: int
    want: int
    budgets: tuple[UUID, ...]
    limits: tuple[int | None, ...]
    windows: tuple[Window | None, ...]


class Settle(Struct, frozen=True, tag_field="op", tag="settle", omit_defaults=True):
    """Closes a hold: `charge` is the wallet's, `list` the budgets', `cost` ours upstream.

    `answer` is kept for who asks again, "" is one too large to keep; without, they may try anew.
    """

    generation: UUID
    charge: int
    list: int
    cost: int
    record: msgspec.Raw
    answer: str | None = None


Item = Admit | Extend | Settle


class Result(Struct, frozen=True):
    status: Literal["granted", "refused", "revoked", "stale", "repeated", "done", "gone"]
    amount: int = 0
    charge: int = 0
    write_off: int = 0
    by: str = ""
    free: int = 0
    held: int = 0
    generation: UUID | None = None


def given_up(generation: UUID) -> Settle:
    """Closes a hold with nothing, whether or not it was ever opened."""
    return Settle(generation, 0, 0, 0, CANCELLED_RECORD)
