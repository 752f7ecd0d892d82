"""Who calls: API keys looked up by their hash, kept in memory for a few seconds.

A change of a key's row makes every process forget it at once (migration 0002_notify); the time limit is for when that
word does not arrive. The till asks again at admission, so a revoked key never gets a hold.
"""

import time
from datetime import UTC, datetime
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from msgspec import Struct

from accounts.models import ApiKey, Window

KEPT_S = 10.0
MAX_KEPT = 100_000


class Caller(Struct, frozen=True):
    """A live key, and whose it is."""

    key_id: UUID
    hash: str
    organization_id: UUID
    user_id: UUID | None
    is_management: bool
    limit_nano: int | None
    limit_reset: Window | None
    expires_at: datetime | None

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class Callers:
    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Caller]] = {}

    async def get(self, key_hash: str) -> Caller | None:
        kept = self._kept.get(key_hash)
        if kept is None or time.monotonic() > kept[0]:
            until = time.monotonic() + KEPT_S
            caller = await sync_to_async(find)(key_hash)
            if caller is None:
                return None
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = self._kept[key_hash] = (until, caller)
        return None if kept[1].is_expired else kept[1]

    def forget(self, key_hash: str) -> None:
        self._kept.pop(key_hash, None)

    def forget_all(self) -> None:
        self._kept.clear()


def find(key_hash: str) -> Caller | None:
    # This thread serves no request of Django's, so nobody else lets go of a connection that died.
    close_old_connections()
    row = ApiKey.objects.live().filter(hash=key_hash).first()
    if row is None:
        return None
    return Caller(
        key_id=row.pk,
        hash=row.hash,
        organization_id=row.organization_id,
        user_id=row.created_by_id,
        is_management=row.is_management,
        limit_nano=row.limit_nano,
        limit_reset=row.window,
        expires_at=row.expires_at,
    )
