"""How a provider departs from its wire: data on its row, read once into a Struct (docs/catalogue.md lists them)."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

Scheme = Literal["bearer", "api-key", "x-api-key", "x-goog-api-key", "sigv4", "google"]


class Quirks(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    # Ask for the usage chunk of a stream.
    stream_usage: bool = True
    # Ask its models list each minute whether it is up.
    probe: bool = True
    # Leave it alone for a while after failures and rate limits, and for good when it refuses its key.
    breaker: bool = True
    # How the key is shown; the wire's own way unless said otherwise.
    auth: Scheme | None = None
    # Replaces the wire's path, "{model}" in it the upstream model; and what follows the path.
    path: str = ""
    query: str = ""
    # Extra headers with each request, such as a beta's name.
    headers: dict[str, str] = {}
    # How reasoning is asked for: `reasoning_effort`, an object `reasoning`, `thinking: {type}`, `enable_thinking`,
    # the same in `chat_template_kwargs`, or not at all.
    reasoning: Literal["effort", "object", "thinking", "enable_thinking", "template", "none"] = "effort"
    # The efforts that it knows.
    efforts: tuple[str, ...] = ("low", "medium", "high")
    # The member of past assistant messages in which it wants its reasoning back.
    reasoning_back: Literal["", "reasoning", "reasoning_content"] = ""
    # Whether it knows the role `developer`; `system` is sent otherwise.
    developer: bool = False
    # Its words for parameters, and for tool_choice "required".
    rename: dict[str, str] = {}
    tool_choice_required: str = "required"
    # Fields that it answers with an error, and such as it takes beyond the usual ones.
    without: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    # Of signatures; read from the host's name where it is not given.
    region: str = ""
    # Where a service account gets its tokens, if not at Google's.
    token_url: str = ""


PLAIN = Quirks()


def read(given: Mapping[str, Any]) -> Quirks:
    """Raises msgspec.ValidationError, which names the field."""
    return msgspec.convert(dict(given), Quirks)
