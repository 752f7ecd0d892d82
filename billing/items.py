"""What the till is asked and what it answers (billing/sql/till.sql). Amounts are nano-USD."""

from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from accounts.models import Window

BARE_RECORD = msgspec.Raw(b'{"outcome": "error"}')
CANCELLED_RECORD = msgspec.Raw(b'{"outcome": "cancelled"}')


class Admit(Struct, frozen=True, tag_field="op", tag="admit"):
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


class Extend(Struct, frozen=True, tag_field="op", tag="extend"):
    """Asks that a hold be `want`, at least `least`, in all: so it may be repeated."""

    generation: UUID
    least: int
    want: int
    budgets: tuple[UUID, ...]
    limits: tuple[int | None, ...]
    windows: tuple[Window | None, ...]


class Settle(Struct, frozen=True, tag_field="op", tag="settle"):
    """Closes a hold: `charge` is the wallet's, `list` the budgets', `cost` ours upstream."""

    generation: UUID
    charge: int
    list: int
    cost: int
    record: msgspec.Raw


Item = Admit | Extend | Settle


class Result(Struct, frozen=True):
    status: Literal["granted", "refused", "revoked", "stale", "done", "gone"]
    amount: int = 0
    charge: int = 0
    write_off: int = 0
    by: str = ""
    free: int = 0
    held: int = 0


def given_up(generation: UUID) -> Settle:
    """Closes a hold with nothing, whether or not it was ever opened."""
    return Settle(generation, 0, 0, 0, CANCELLED_RECORD)
