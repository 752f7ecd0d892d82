"""Secrets at rest: AES-256-GCM under a ring of keys, bound to the row and field that hold them."""

import base64
import os
from dataclasses import dataclass
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


class DecryptionError(Exception):
    """The ciphertext is not ours, was moved from another row, or its key has left the ring."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id; the first one encrypts, all decrypt, so a key is rotated by putting a new one in front."""

    keys: dict[str, bytes]

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """`id:base64 of 32 bytes`, comma-separated. Raises ValueError saying what is off (never the key)."""
        keys: dict[str, bytes] = {}
        for part in filter(None, text.split(",")):
            name, colon, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError:
                raise ValueError(f"key {name!r} is not base64") from None
            if not colon or not name or len(key) != 32:
                raise ValueError("each key must be id:base64 of 32 bytes")
            keys[name] = key
        if not keys:
            raise ValueError("no key is set")
        return cls(keys)

    def encrypt(self, secret: str, *, place: str) -> str:
        """`place` is "model:field:pk": a ciphertext copied to another row does not decrypt."""
        name, key = next(iter(self.keys.items()))
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret.encode(), place.encode())
        return f"{name}:{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, text: str, *, place: str) -> str:
        name, _, encoded = text.partition(":")
        try:
            data = base64.b64decode(encoded)
            return AESGCM(self.keys[name]).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
        except (KeyError, ValueError, InvalidTag) as error:
            raise DecryptionError(f"cannot decrypt {place}") from error


@cache
def ring() -> KeyRing:
    return KeyRing.parse(settings.KEY_RING)
