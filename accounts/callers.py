"""Who calls: API keys looked up by their hash, kept in memory for a few seconds.

A change of a key's row makes every process forget it at once (migration 0002_notify); the time limit is for when that
word does not arrive. The till asks again at admission, so a revoked key never gets a hold.
"""

import asyncio
import secrets
import time
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID

from msgspec import Struct

from accounts import access, keys
from accounts.models import ApiKey, Window
from accounts.policy import NO_POLICY, Policy, policy_of
from accounts.threads import in_thread

KEPT_S = 10.0
MAX_KEPT = 100_000


class Caller(Struct, frozen=True):
    """A live key, and whose it is."""

    key_id: UUID
    hash: str
    organization_id: UUID
    user_id: UUID | None
    is_management: bool
    # What the till counts against: the key, then what an administrator has limited.
    budgets: tuple[UUID, ...]
    limits: tuple[int | None, ...]
    windows: tuple[Window | None, ...]
    requests_per_minute: int | None
    organization_requests_per_minute: int | None
    expires_at: datetime | None
    keeps_content: bool = False
    suspended: str = ""
    """What to tell who asks for a suspended organization."""
    policy: Policy = NO_POLICY
    visitor: UUID | None = None
    """Whence a visitor of the playground comes, who has no account."""

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


NOBODY: tuple[float, Caller | None] = (0.0, None)


class Callers:
    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Caller]] = {}
        self._asking: dict[str, asyncio.Task[Caller | None]] = {}
        # OpenSSL's HMAC takes 15 µs, BLAKE2 with a key of this process's own 1: so tokens seen before are recognised.
        self._secret = secrets.token_bytes(32)
        self._hashes: dict[bytes, str] = {}

    async def get(self, token: str) -> Caller | None:
        """The caller with this key, or None if it is not a live one."""
        mark = blake2b(token.encode(), key=self._secret, digest_size=32).digest()
        key_hash = self._hashes.get(mark) or keys.digest(token)
        until, caller = self._kept.get(key_hash, NOBODY)
        if caller is None or time.monotonic() > until:
            if not keys.is_well_formed(token):
                return None
            caller = await self._ask(key_hash)
            if caller is not None:
                if len(self._hashes) >= MAX_KEPT:
                    self._hashes.clear()
                self._hashes[mark] = key_hash
        return None if caller is None or caller.is_expired else caller

    async def _ask(self, key_hash: str) -> Caller | None:
        """One question to the database for all requests that wait for its answer."""
        task = self._asking.get(key_hash)
        if task is None:
            task = self._asking[key_hash] = asyncio.create_task(self._look_up(key_hash))
        # Shielded: whoever leaves first does not take the answer from the others.
        return await asyncio.shield(task)

    async def _look_up(self, key_hash: str) -> Caller | None:
        until = time.monotonic() + KEPT_S
        try:
            caller = await in_thread(find, key_hash)
        finally:
            # False when it was forgotten meanwhile: what was read may be older than the change.
            is_current = self._asking.pop(key_hash, None) is asyncio.current_task()
        if caller is not None and is_current:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[key_hash] = (until, caller)
        return caller

    def forget(self, key_hash: str) -> None:
        self._kept.pop(key_hash, None)
        self._asking.pop(key_hash, None)

    def forget_all(self) -> None:
        self._kept.clear()
        self._asking.clear()


def find(key_hash: str) -> Caller | None:
    row = ApiKey.objects.live().filter(hash=key_hash).select_related("organization").first()
    if row is None:
        return None
    spenders = (row.organization, access.maker_of(row))
    budgeted = [one for one in spenders if one is not None and one.budget_nano is not None]
    return Caller(
        key_id=row.pk,
        hash=row.hash,
        organization_id=row.organization_id,
        user_id=row.created_by_id,
        is_management=row.is_management,
        budgets=(row.pk, *(one.budget_id for one in budgeted)),
        limits=(row.limit_nano, *(one.budget_nano for one in budgeted)),
        windows=(row.window, *(one.budget_window for one in budgeted)),
        requests_per_minute=row.requests_per_minute,
        organization_requests_per_minute=row.organization.requests_per_minute,
        expires_at=row.expires_at,
        # A visitor has not agreed to what the organization wants for itself.
        keeps_content=row.organization.keeps_content and row.visitor is None,
        suspended=suspension(row),
        policy=policy_of(row),
        visitor=row.visitor,
    )


def suspension(key: ApiKey) -> str:
    if not key.organization.is_suspended:
        return ""
    # Why is for its own people to know.
    return key.organization.suspension_notice if key.visitor is None else "This is switched off at the moment."
