"""A catalogue file into the database: upserts by slug and tag, all or nothing, and never deletes."""

import datetime
from collections import Counter
from typing import Any

from django.db import connection, transaction
from django.db.models import Model as Row

from accounts import audit
from accounts.encryption import DecryptionError
from providers import refusals
from providers.adapters import WIRES
from providers.catalogue.format import EndpointRow, ModelRow, PriceRow, ProviderRow, parse
from providers.models import Credential, Endpoint, Model, Price, Provider

Counts = Counter[str]


def import_catalogue(text: str, *, source: str) -> Counts:
    """How many rows were added or changed, by kind. `source` names the file in prices that name no source of their own.

    Raises BadCatalogue before anything is written.
    """
    counts: Counts = Counter()
    with transaction.atomic():
        _one_at_a_time()
        providers = {provider.slug: provider for provider in Provider.objects.select_related("credential")}
        catalogue = parse(text, wires=list(WIRES), providers=providers.keys())
        for row in catalogue.providers:
            providers[row.slug] = _provider(row, providers.get(row.slug), counts)
        models = {model.slug: model for model in Model.objects.filter(slug__in=[row.slug for row in catalogue.models])}
        endpoints = {(e.model_id, e.tag): e for e in Endpoint.objects.filter(model__in=models.values())}
        prices = {price.endpoint_id: price for price in Price.objects.current()}
        for model_row in catalogue.models:
            model = _model(model_row, models.get(model_row.slug), counts)
            for endpoint_row in model_row.endpoints:
                known = endpoints.get((model.pk, endpoint_row.tag))
                endpoint = _endpoint(endpoint_row, known, model, providers[endpoint_row.provider], counts)
                _price(endpoint_row.price, endpoint, prices.get(endpoint.pk), source, counts)
        if counts:
            audit.record(None, audit.Verb.IMPORT, ("providers.catalogue", source), details=dict(counts))
    return counts


def _one_at_a_time() -> None:
    # Two imports at once would both find a row missing and both add it. Readers are not held up.
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE providers_provider IN SHARE ROW EXCLUSIVE MODE")


def _provider(row: ProviderRow, known: Provider | None, counts: Counts) -> Provider:
    provider = known or Provider(slug=row.slug)
    _save_if_changed(provider, row.fields, "provider", counts)
    if row.api_key:
        _credential(provider, row.api_key, counts)
    return provider


def _credential(provider: Provider, api_key: str, counts: Counts) -> None:
    credential = Credential.objects.filter(provider=provider).first() or Credential(provider=provider)
    if credential.pk and _secret(credential) == api_key:
        return
    credential.set_secret(api_key)
    credential.save()
    refusals.forgive(Provider.objects.filter(pk=provider.pk))
    counts["credential"] += 1


def _secret(credential: Credential) -> str | None:
    try:
        return credential.secret()
    except DecryptionError:
        return None  # its key has left the ring: what the file says replaces it


def _model(row: ModelRow, known: Model | None, counts: Counts) -> Model:
    fields = row.fields if row.released_at is None else {**row.fields, "released_at": row.released_at}
    model = known or Model(slug=row.slug)
    _save_if_changed(model, fields, "model", counts)
    return model


def _endpoint(row: EndpointRow, known: Endpoint | None, model: Model, provider: Provider, counts: Counts) -> Endpoint:
    endpoint = known or Endpoint(model=model, tag=row.tag)
    _save_if_changed(endpoint, {**row.fields, "provider_id": provider.pk}, "endpoint", counts)
    return endpoint


def _price(row: PriceRow | None, endpoint: Endpoint, current: Price | None, source: str, counts: Counts) -> None:
    """Appends when an amount differs from the row in force; another source or date for the same is no change."""
    if row is None:
        return
    if row.is_end:
        if current is None or current.is_end:
            return
        fields = {name: getattr(current, name) for name in (*Price.AMOUNTS, "discount", "overrides")}
    else:
        fields = row.fields
        is_same = current is not None and all(getattr(current, name) == value for name, value in fields.items())
        if current is not None and is_same and not current.is_end:
            return
    as_of = row.as_of or datetime.date.today()
    Price.objects.create(endpoint=endpoint, source=row.source or source, as_of=as_of, is_end=row.is_end, **fields)
    counts["price"] += 1


def _save_if_changed(row: Row, fields: dict[str, Any], kind: str, counts: Counts) -> None:
    """Leaves an unchanged row alone, so that `updated_at` tells when it last changed."""
    if not row._state.adding and all(getattr(row, name) == value for name, value in fields.items()):
        return
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    counts[kind] += 1
