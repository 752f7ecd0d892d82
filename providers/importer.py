"""A catalogue file into the database: what it would change, and changing that. By slug and tag; it never deletes."""

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit
from accounts.encryption import DecryptionError
from providers import refusals
from providers.adapters import WIRES
from providers.catalogue.changes import Change, Kind
from providers.catalogue.format import EndpointRow, ModelRow, PriceRow, ProviderRow, parse
from providers.models import Credential, Endpoint, Model, Price, Provider

Counts = Counter[str]
PRICE_FIELDS = (*Price.AMOUNTS, "discount", "overrides")


def import_catalogue(text: str, *, source: str, request: HttpRequest | None = None) -> Counts:
    """How many rows were added or changed, by kind. `source` names the file in prices that name no source of their own.

    All or nothing. Raises BadCatalogue before anything is written.
    """
    with transaction.atomic():
        one_at_a_time()
        counts = apply(plan(text, source=source))
        if counts:
            audit.record(request, audit.Verb.IMPORT, ("providers.catalogue", source), details=dict(counts))
    return counts


def one_at_a_time() -> None:
    # Two imports at once would both find a row missing and both add it. Readers are not held up.
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE providers_provider IN SHARE ROW EXCLUSIVE MODE")


def plan(text: str, *, source: str, may_hold_keys: bool = True) -> list[Change]:
    """What the file would change, each change after those that it needs. Raises BadCatalogue."""
    known = {provider.slug: provider for provider in Provider.objects.select_related("credential")}
    catalogue = parse(text, wires=list(WIRES), providers=known.keys(), may_hold_keys=may_hold_keys)
    planned = Plan(source, known, [row.slug for row in catalogue.models])
    for row in catalogue.providers:
        planned.provider(row)
    for model_row in catalogue.models:
        planned.model(model_row)
    return planned.changes


def apply(changes: Iterable[Change]) -> Counts:
    """Writes them, in the order of `plan`, within the caller's transaction."""
    counts: Counts = Counter()
    for change in changes:
        write(change)
        counts[change.kind] += 1
    return counts


def write(change: Change) -> None:
    row = change.row
    for name, value in change.after.items():
        setattr(row, name, value)
    # Rows that did not exist when this was planned have their keys by now.
    for name, parent in change.parents.items():
        setattr(row, name, parent)
    if isinstance(row, Credential):
        row.set_secret(change.secret)
    if isinstance(row, Price):
        row.effective_from = row.created_at = timezone.now()
    row.save()
    if isinstance(row, Credential):
        refusals.forgive(Provider.objects.filter(pk=row.provider_id))


class Plan:
    """The database as it is, and the changes so far."""

    def __init__(self, source: str, providers: dict[str, Provider], slugs: list[str]) -> None:
        self.changes: list[Change] = []
        self._source = source
        self._providers = providers
        self._models = {model.slug: model for model in Model.objects.filter(slug__in=slugs)}
        endpoints = Endpoint.objects.filter(model__in=self._models.values()).select_related("provider")
        self._endpoints = {(endpoint.model_id, endpoint.tag): endpoint for endpoint in endpoints}
        self._prices = {price.endpoint_id: price for price in Price.objects.current()}
        # By the row itself: one that is not saved has no key yet.
        self._added: dict[int, Change] = {}

    def provider(self, row: ProviderRow) -> None:
        provider = self._providers.get(row.slug) or Provider(slug=row.slug)
        self._providers[row.slug] = provider
        self._differs("provider", row.slug, provider, row.fields)
        if row.api_key and row.api_key != stored_key(provider):
            credential = provider.credential if has_key(provider) else Credential()
            self._add(Change("credential", row.slug, credential, None, {}, {"provider": provider}, secret=row.api_key))

    def model(self, row: ModelRow) -> None:
        model = self._models.get(row.slug) or Model(slug=row.slug)
        fields = dict(row.fields)
        # A file says the day alone: what is kept of the hour stays.
        if row.released_at and (is_new(model) or model.released_at.date() != row.released_at.date()):
            fields["released_at"] = row.released_at
        self._differs("model", row.slug, model, fields)
        for endpoint_row in row.endpoints:
            self._endpoint(endpoint_row, model)

    def _endpoint(self, row: EndpointRow, model: Model) -> None:
        name = f"{model.slug} at {row.tag}"
        provider = self._providers[row.provider]
        known = self._endpoints.get((model.pk, row.tag))
        endpoint = known or Endpoint(model=model, tag=row.tag)
        parents = {"model": model, "provider": provider}
        self._differs("endpoint", name, endpoint, {**row.fields, "provider": provider}, parents)
        if row.price:
            self._price(row.price, name, endpoint)

    def _price(self, row: PriceRow, name: str, endpoint: Endpoint) -> None:
        """Appended when an amount differs from the row in force; another source or date for the same is no change."""
        current = self._prices.get(endpoint.pk)
        before = {} if current is None or current.is_end else {field: getattr(current, field) for field in PRICE_FIELDS}
        if row.is_end:
            if not before:
                return
            fields = {**before, "is_end": True}
        else:
            fields = row.fields
            if before and fields.items() <= before.items():
                return
        new = Price(source=row.source or self._source, as_of=row.as_of or datetime.date.today())
        self._add(Change("price", name, new, before or None, fields, {"endpoint": endpoint}))

    def _differs(
        self,
        kind: Kind,
        name: str,
        row: Provider | Model | Endpoint,
        fields: Mapping[str, Any],
        parents: Mapping[str, Any] | None = None,
    ) -> None:
        """Leaves an unchanged row alone, so that `updated_at` tells when it last changed."""
        if is_new(row):
            self._add(Change(kind, name, row, None, dict(fields), parents or {}))
            return
        after = {field: value for field, value in fields.items() if getattr(row, field) != value}
        if after:
            before = {field: getattr(row, field) for field in after}
            self._add(Change(kind, name, row, before, after, parents or {}))

    def _add(self, change: Change) -> None:
        change.needs = [self._added[id(one)] for one in change.parents.values() if id(one) in self._added]
        if change.before is None and change.kind != "price":
            self._added[id(change.row)] = change
        self.changes.append(change)


def is_new(row: Provider | Model | Endpoint) -> bool:
    return row._state.adding


def has_key(provider: Provider) -> bool:
    return not is_new(provider) and hasattr(provider, "credential")


def stored_key(provider: Provider) -> str | None:
    try:
        return provider.credential.secret() if has_key(provider) else None
    except DecryptionError:
        return None  # its key has left the ring: what the file says replaces it
