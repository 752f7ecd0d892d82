"""Embeddings, asked for and answered."""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from providers.canonical.answer import Usage
from providers.canonical.request import Positive
from providers.preferences import ProviderPreferences


class EmbeddingRequest(Struct, frozen=True):
    """`input` is a text, texts, one text's tokens or several texts' tokens."""

    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    model: str | None = None
    models: list[str] | None = None
    provider: ProviderPreferences | None = None
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None
    input_type: str | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str] | None:
        """None when there are tokens among it."""
        if isinstance(self.input, str):
            return [self.input]
        texts = [one for one in self.input if isinstance(one, str)]
        return texts if len(texts) == len(self.input) else None

    @property
    def count(self) -> int:
        """How many vectors are asked for."""
        return 1 if isinstance(self.input, str) or isinstance(self.input[0], int) else len(self.input)


class Embeddings(Struct, frozen=True):
    """Vectors in the order of the inputs, each as JSON: a list of numbers, or base64 of little-endian float32."""

    vectors: list[Raw]
    usage: Usage | None
    upstream_id: str | None = None
