"""Credentials that providers refuse: after a few refusals in a row they are switched off, in all processes, for good.

An operator puts in another key or switches the old one on again (providers/refusals.py keeps the mark).
"""

import time
from collections.abc import Mapping
from uuid import UUID

from gateway.routing.stats import Change
from providers.snapshot import Endpoint, Provider

# One may be a slip of the provider's; a model that the key may not use refuses while others answer.
OFF_AT = 3
# Requests that waited or were under way when a provider got another key, and what other processes tell of them.
SETTLES_S = 30.0


class Refusals:
    def __init__(self) -> None:
        self.due: dict[str, Provider] = {}
        """Providers whose credential is to be switched off, by slug."""
        self._streaks: dict[str, int] = {}
        self._settled: dict[str, float] = {}
        self._providers: dict[UUID, Provider] = {}

    def follow(self, endpoints: Mapping[UUID, Endpoint], exempt: frozenset[UUID]) -> None:
        """The catalogue has changed. A server without a key refuses none."""
        before = self._marks()
        self._providers = {
            id_: one.provider for id_, one in endpoints.items() if one.provider.secret and id_ not in exempt
        }
        for slug, mark in self._marks().items():
            if before.get(slug, mark) != mark:
                self._streaks.pop(slug, None)
                self.due.pop(slug, None)
                self._settled[slug] = time.monotonic() + SETTLES_S

    def saw(self, changes: Mapping[UUID, Change]) -> None:
        """What all processes saw since the last time."""
        accepted = {self._slug(endpoint) for endpoint, change in changes.items() if change.successes}
        for endpoint, change in changes.items():
            provider = self._providers.get(endpoint)
            if provider is None or not change.refusals:
                continue
            if time.monotonic() < self._settled.get(provider.slug, 0):
                continue
            self._streaks[provider.slug] = self._streaks.get(provider.slug, 0) + change.refusals
            if self._streaks[provider.slug] >= OFF_AT and provider.slug not in accepted:
                self.due[provider.slug] = provider
        for slug in {*accepted, *self.due}:
            self._streaks.pop(slug, None)

    def _marks(self) -> dict[str, str]:
        """Of the providers' keys, by slug."""
        return {one.slug: one.secret_mark for one in self._providers.values()}

    def _slug(self, endpoint: UUID) -> str:
        provider = self._providers.get(endpoint)
        return provider.slug if provider else ""
