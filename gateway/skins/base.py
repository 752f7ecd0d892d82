"""What a skin is. Pure translations: no sockets, no settings, no ORM."""

from typing import Protocol

from gateway.errors import ApiError
from gateway.generation import Generation
from providers.canonical import ChunkChoice, Completion, Native, Request
from providers.snapshot import Endpoint

# A comment is no event in any skin's protocol.
KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n"


class Writer(Protocol):
    """The bytes of one stream: content any number of times, then one ending or one error."""

    def content(self, choices: list[ChunkChoice]) -> bytes: ...

    def native(self, event: Native) -> bytes:
        """Of the skin's own family."""
        ...

    def ending(self, generation: Generation, endpoint: Endpoint, charge: int) -> bytes: ...

    def error(self, error: ApiError) -> bytes:
        """After the status was sent; may come first."""
        ...


class Skin(Protocol):
    def parse(self, body: bytes) -> Request:
        """Raises ApiError 400 that names the field, in the words of the skin."""
        ...

    def completion(self, generation: Generation, endpoint: Endpoint, answer: Completion, charge: int) -> bytes: ...

    def writer(self, generation: Generation, model: str, provider_name: str) -> Writer: ...

    def envelope(self, error: ApiError) -> dict[str, object]:
        """The body of an error that is a status."""
        ...
