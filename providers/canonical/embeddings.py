"""Embeddings answered."""

from msgspec import Raw, Struct

from providers.canonical.answer import Usage


class Embeddings(Struct, frozen=True):
    """Vectors in the order of the inputs, each as JSON: a list of numbers, or base64 of little-endian float32."""

    vectors: list[Raw]
    usage: Usage | None
    upstream_id: str | None = None
