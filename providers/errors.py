"""What can go wrong upstream, said in the router's terms: may another endpoint do it, whose fault, retry when."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.canonical import Usage


class Kind(StrEnum):
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    CREDENTIAL = "credential"
    NOT_FOUND = "not_found"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    INVALID_REQUEST = "invalid_request"
    # It asks for something that this endpoint has no way to do.
    UNSUPPORTED = "unsupported"
    BUSY = "busy"


# The request itself is at fault: another endpoint of the same model would say the same.
FINAL = frozenset({Kind.CONTEXT_LENGTH, Kind.CONTENT_POLICY, Kind.INVALID_REQUEST})

# It says that the account behind our credential is empty, in whatever words.
UNPAID = "unpaid"
# What counts against a provider. Its rate limits do not: there is a wait for them, and the provider is well.
FAULTS = frozenset(
    {
        *(Kind.UNREACHABLE, Kind.TIMEOUT, Kind.RESET, Kind.PROTOCOL, Kind.UNAVAILABLE, Kind.OVERLOADED),
        *(Kind.CREDENTIAL, Kind.NOT_FOUND, UNPAID),
    }
)


class UpstreamError(Exception):
    """One attempt failed.

    `status` and `raw` are the provider's own answer, if there was one; `retry_after` is in seconds; `usage` is what the
    provider had counted before it failed.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        raw: str = "",
        provider_code: str | None = None,
        retry_after: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.raw = raw
        self.provider_code = provider_code
        self.retry_after = retry_after
        self.usage = usage

    @property
    def retryable(self) -> bool:
        return self.kind not in FINAL

    @property
    def label(self) -> str:
        """Under what it is counted: its kind, with an unpaid account apart from a refused credential."""
        if self.kind is Kind.CREDENTIAL and self.status in (402, 429):
            return UNPAID
        return self.kind.value
