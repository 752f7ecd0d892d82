"""`Idempotency-Key`: a request that is answered once, and its answer for who asks again.

The till keeps the mark beside the hold and the answer beside the settlement, so that neither is ever without the other.
"""

import asyncio
from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from accounts import encryption
from accounts.callers import Caller
from accounts.threads import in_thread
from billing.errors import Repeated
from billing.generations import public_id
from billing.holds import Hold
from billing.models import Idempotency
from gateway.errors import ApiError

MAX_KEY = 255
MAX_ANSWER_BYTES = 256 * 1024
# What waits for a client that reads slower than the answer comes.
MAX_WAITING_BYTES = 4 * 1024 * 1024
SAID = {
    "different": "This Idempotency-Key was used for a request with another body.",
    "running": "The first request with this Idempotency-Key is still being answered.",
    "too_large": f"The answer to this Idempotency-Key is larger than {MAX_ANSWER_BYTES // 1024} KiB and was not kept.",
    "unreadable": "The answer to this Idempotency-Key can no longer be read.",
}
RETRY_S = 2


class Mark(Struct, frozen=True):
    """Of one API key and one Idempotency-Key; `body` is a hash of what is asked, the path included."""

    id: UUID
    body: str


def mark_of(caller: Caller, key: str, path: str, body: bytes) -> Mark | None:
    if not key:
        return None
    if len(key) > MAX_KEY:
        raise ApiError(400, f"Idempotency-Key: must be at most {MAX_KEY} characters.")
    named = blake2b(key.encode(), key=caller.key_id.bytes, digest_size=16).digest()
    return Mark(UUID(bytes=named), blake2b(path.encode() + b"\0" + body, digest_size=32).hexdigest())


def sealed(mark: Mark, parts: "list[bytes] | None") -> str:
    """The answer as it is kept: encrypted, or "" when it is too large (None)."""
    if parts is None or sum(map(len, parts)) > MAX_ANSWER_BYTES:
        return ""
    return encryption.ring().encrypt(b"".join(parts).decode(errors="replace"), place=place(mark.id))


async def kept(mark: Mark, repeated: Repeated) -> tuple[str, bytes]:
    """The public id and answer of the first request. Raises ApiError 409 when there is none to give."""
    answer = None
    if repeated.state == "answered":
        answer = await in_thread(stored, mark.id)
        repeated.state = "unreadable"
    if answer is None:
        raise ApiError(409, SAID[repeated.state], retry_after=RETRY_S if repeated.state == "running" else None)
    return public_id(repeated.generation), answer


def stored(id: UUID) -> bytes | None:
    text = Idempotency.objects.filter(pk=id).values_list("answer", flat=True).first()
    try:
        return encryption.ring().decrypt(text, place=place(id)).encode() if text else None
    except encryption.DecryptionError:
        return None


def place(id: UUID) -> str:
    return f"billing.idempotency:answer:{id}"


class Copy:
    """What went out of a stream, as far as it may be kept."""

    def __init__(self) -> None:
        self.parts: list[bytes] | None = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self.parts is not None:
            self.parts.append(part)
            if self._size > MAX_ANSWER_BYTES:
                self.parts = None


class Stream(Protocol):
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def abandon(self) -> None: ...


class Replay:
    """A stream's bytes as they went out the first time."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body

    def abandon(self) -> None:
        pass


class Detached:
    """Runs a stream to its end in a task of its own, whether or not its client stays."""

    # The loop keeps no task alive by itself.
    running: "set[asyncio.Task[None]]" = set()

    def __init__(self, stream: Stream, hold: Hold) -> None:
        self._stream = stream
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting = 0
        self._is_left = False
        task = asyncio.create_task(self._run())
        hold.on_gone = task.cancel
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            self._waiting -= len(part)
            yield part

    def abandon(self) -> None:
        """The client left: the answer goes on without it."""
        self._is_left = True

    async def _run(self) -> None:
        try:
            async for part in self._stream:
                if self._is_left:
                    continue
                self._waiting += len(part)
                self._parts.put_nowait(part)
                if self._waiting > MAX_WAITING_BYTES:
                    self._is_left = True
                    self._parts.put_nowait(None)
        finally:
            self._stream.abandon()
            self._parts.put_nowait(None)
