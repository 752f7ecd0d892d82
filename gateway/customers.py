"""The catalogue at the prices that customers pay: made once for all who pay the same, not for each request."""

from collections.abc import Callable
from uuid import UUID

from msgspec import structs

from billing.markups import Markups, Own
from gateway.errors import ApiError
from providers.snapshot import EMPTY, Model, Snapshot

# Of organizations with markups of their own; each set of such markups is a catalogue of its own.
MOST_KEPT = 64


LIST_PRICES = Markups()


class Customers:
    def __init__(self, listed: Snapshot = EMPTY, markups: Markups = LIST_PRICES) -> None:
        self._listed = listed
        self._markups = markups
        self._kept: dict[tuple[tuple[str, int], ...], Snapshot] = {}
        self.everybody = self._made({})

    def catalogue(self, organization: UUID | None) -> Snapshot:
        """None is somebody without an account. Raises ApiError as long as no catalogue has been read."""
        if self.everybody is EMPTY:
            raise ApiError(503, "This process is starting: it has no catalogue yet. Try again.", retry_after=1)
        own = self._markups.of_organizations.get(organization) if organization else None
        if own is None:
            return self.everybody
        key = tuple(sorted(own.items()))
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = self._made(own)
        return found

    def _made(self, own: Own) -> Snapshot:
        return marked_up(self._listed, lambda model: self._markups.on(model, own))


def marked_up(listed: Snapshot, markup_on: Callable[[str], int]) -> Snapshot:
    markups = {slug: markup_on(slug) for slug in listed.models}
    if not any(markups.values()):
        return listed
    models = {slug: of_model(model, markups[slug]) for slug, model in listed.models.items()}
    return structs.replace(listed, models=models)


def of_model(model: Model, markup: int) -> Model:
    if markup == 0:
        return model
    endpoints = (
        structs.replace(endpoint, price=endpoint.price and endpoint.price.marked_up(markup))
        for endpoint in model.endpoints
    )
    return structs.replace(model, endpoints=tuple(endpoints))
