"""How many requests this process has in flight at each provider."""

from collections import Counter

from providers.errors import Kind, UpstreamError
from providers.snapshot import Provider


class Slots:
    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def enter(self, provider: Provider) -> None:
        """Raises UpstreamError (busy) when the provider's limit is reached."""
        if provider.max_concurrency is not None and self._taken[provider.slug] >= provider.max_concurrency:
            raise UpstreamError(Kind.BUSY, f"{provider.name} is at its limit of concurrent requests", retry_after=1)
        self._taken[provider.slug] += 1

    def leave(self, provider: Provider) -> None:
        self._taken[provider.slug] -= 1
