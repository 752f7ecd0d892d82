"""Conversations stay where their prompt is cached (reference §4.9): in this process's memory, told to the others.

Nothing is kept of endpoints that charge cached tokens as any others, nor of conversations that use no cache and name no
session, so requests without either cost nothing here.
"""

from collections.abc import Iterator
from hashlib import blake2b
from uuid import UUID

import msgspec
from msgspec import Struct

from providers.canonical import Message, Request, Usage
from providers.snapshot import Endpoint

KEPT_S = 600.0
MAX_KEPT = 100_000
# A conversation that goes on is told to the other processes no more often.
TOLD_EACH_S = 60.0
# Of a message so much is hashed, and its length.
HASHED = 16_384
INSTRUCTIONS = ("system", "developer")

encode = msgspec.json.Encoder().encode


class Place(Struct, frozen=True, array_like=True):
    """Where a conversation is cached."""

    endpoint: UUID
    model: str


class Kept(Struct):
    place: Place
    until: float
    told: float


class Sessions:
    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}
        self._untold: dict[bytes, Place] = {}

    def find(self, organization_id: UUID, request: Request, session_id: str, now: float) -> Place | None:
        if not self._kept:
            return None
        found = self._kept.get(key(organization_id, request, session_id))
        return found.place if found is not None and found.until > now else None

    def used(
        self, organization_id: UUID, request: Request, session_id: str, endpoint: Endpoint, usage: Usage, now: float
    ) -> None:
        """An endpoint has answered: keeps the conversation there if that saves money."""
        price = endpoint.price
        if price is None or price.input_cache_read is None or price.input_cache_read >= price.prompt:
            return
        is_named = bool(session(request, session_id))
        is_ordered = request.chat.provider is not None and bool(request.chat.provider.order)
        if is_ordered or not (is_named or usage.cached or usage.cache_write):
            return
        name = key(organization_id, request, session_id)
        place = Place(endpoint.id, endpoint.model)
        known = self._kept.get(name)
        told = known.told if known is not None and known.place == place else -TOLD_EACH_S
        if now - told >= TOLD_EACH_S:
            self._untold[name] = place
            told = now
        self._keep(name, Kept(place, now + KEPT_S, told))

    def learn(self, name: bytes, place: Place, now: float) -> None:
        """From another process."""
        self._keep(name, Kept(place, now + KEPT_S, now))

    def news(self) -> list[tuple[bytes, Place]]:
        """What the other processes do not know yet; told once."""
        told, self._untold = self._untold, {}
        return list(told.items())

    def _keep(self, name: bytes, kept: Kept) -> None:
        # Put at the end: the first are those that were used longest ago.
        self._kept.pop(name, None)
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = kept

    def forget_old(self, now: float) -> None:
        for name in list(self._old(now)):
            del self._kept[name]

    def _old(self, now: float) -> Iterator[bytes]:
        for name, kept in self._kept.items():
            if kept.until > now:
                return
            yield name


def session(request: Request, session_id: str) -> str:
    """The body's word goes before the header's."""
    chat = request.chat
    return chat.session_id or session_id or chat.prompt_cache_key or ""


def key(organization_id: UUID, request: Request, session_id: str) -> bytes:
    """Organization, model and conversation: its session, or how it began."""
    digest = blake2b(organization_id.bytes, digest_size=16)
    digest.update(encode(request.chat.candidates[0]))
    if name := session(request, session_id):
        digest.update(b"session")
        digest.update(name.encode())
    else:
        for message in beginning(request.chat.messages):
            text = encode(message.content)
            digest.update(b"%d " % len(text))
            digest.update(text[:HASHED])
    return digest.digest()


def beginning(messages: list[Message]) -> Iterator[Message]:
    """The first instruction, and the first message that is none."""
    wanted = [True, True]
    for message in messages:
        kind = message.role in INSTRUCTIONS
        if wanted[kind]:
            wanted[kind] = False
            yield message
            if not any(wanted):
                return
