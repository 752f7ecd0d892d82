"""Tokens that expire: fetched once for all that wait, renewed before they end."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

# A request may take minutes: a token that ends sooner is renewed beside the requests that still use it.
RENEW_BEFORE_S = 300.0
UNUSABLE_BEFORE_S = 30.0


class Token(Struct, frozen=True):
    value: str
    ends_at: float

    @classmethod
    def lasting(cls, value: str, seconds: float) -> "Token":
        return cls(value, time.monotonic() + seconds)


class TokenCache:
    """Used from one event loop."""

    def __init__(self) -> None:
        self._held: dict[str, Token] = {}
        self._fetching: dict[str, asyncio.Task[Token]] = {}

    async def get(self, key: str, fetch: Callable[[], Awaitable[Token]]) -> str:
        held = self._held.get(key)
        left = held.ends_at - time.monotonic() if held else 0.0
        if held and left > RENEW_BEFORE_S:
            return held.value
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._fetch(key, fetch))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        if held and left > UNUSABLE_BEFORE_S:
            return held.value
        # Who waits may leave; the others still want the token.
        return (await asyncio.shield(task)).value

    def forget(self, key: str) -> None:
        """It was refused before its time."""
        self._held.pop(key, None)

    async def _fetch(self, key: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
        try:
            token = self._held[key] = await fetch()
            return token
        finally:
            del self._fetching[key]
