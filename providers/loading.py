"""The catalogue's tables, read into a snapshot."""

import hashlib
import logging
import os
import re
from collections.abc import Mapping

import msgspec
from django.conf import settings

from accounts.encryption import DecryptionError
from providers import models
from providers import quirks as quirk
from providers.overrides import Override
from providers.pricing import Price
from providers.quirks import PLAIN, Quirks
from providers.snapshot import Endpoint, Model, Provider, Snapshot

logger = logging.getLogger(__name__)

VARIABLE = re.compile(r"\$\{(\w+)\}")


def load(environment: Mapping[str, str] = os.environ) -> Snapshot:
    """Reads what is enabled of the catalogue. Variables are this process's: a missing one switches its provider off."""
    enabled = models.Provider.objects.filter(is_enabled=True).select_related("credential")
    providers = {row.pk: provider(row, environment) for row in enabled}
    prices = {row.endpoint_id: price(row) for row in models.Price.objects.current() if not row.is_end}
    by_model: dict[int, list[Endpoint]] = {}
    for row in models.Endpoint.objects.filter(is_enabled=True, provider__in=providers).select_related("model"):
        found = endpoint(row, providers[row.provider_id], prices.get(row.pk))
        by_model.setdefault(row.model_id, []).append(found)
    return Snapshot(
        providers={found.slug: found for found in providers.values()},
        models={row.slug: model(row, by_model.get(row.pk, [])) for row in models.Model.objects.filter(is_enabled=True)},
    )


def provider(row: models.Provider, environment: Mapping[str, str]) -> Provider:
    missing = [name for name in VARIABLE.findall(row.base_url) if not environment.get(name)]
    is_open = not row.api_key_env and not hasattr(row, "credential")
    secret = environment.get(row.api_key_env) if row.api_key_env else None
    secret = secret or stored_secret(row)
    quirks = read_quirks(row)
    found_mark = mark(secret) if secret else ""
    return Provider(
        slug=row.slug,
        name=row.name,
        wire=row.wire,
        base_url=VARIABLE.sub(lambda found: environment.get(found[1], ""), row.base_url).rstrip("/"),
        secret=secret or None,
        max_concurrency=row.max_concurrency,
        passthrough=row.passthrough,
        quirks=quirks or PLAIN,
        secret_mark=found_mark,
        is_on=quirks is not None
        and not missing
        and (bool(secret) or is_open)
        and not (found_mark and found_mark == row.refused_mark),
        trains_on_data=row.trains_on_data is not False,
        retention_days=row.retention_days,
        headquarters=row.headquarters,
        datacenters=tuple(row.datacenters),
        privacy_policy_url=row.privacy_policy_url,
        terms_of_service_url=row.terms_of_service_url,
        status_page_url=row.status_page_url,
        weight=row.weight / 100,
        is_draining=row.is_draining,
        queue_length=row.queue_length,
        queue_wait_s=row.queue_wait_s,
    )


def read_quirks(row: models.Provider) -> Quirks | None:
    try:
        return quirk.read(row.quirks)
    except msgspec.ValidationError as error:
        # Without them it might be sent what it refuses, or be shown its key in the wrong way.
        logger.error("%s is switched off: its quirks cannot be read: %s", row.slug, error)
        return None


def mark(secret: str) -> str:
    return hashlib.blake2b(secret.encode(), key=settings.KEY_PEPPER.encode()[:64], digest_size=16).hexdigest()


def stored_secret(row: models.Provider) -> str | None:
    try:
        return row.credential.secret() if hasattr(row, "credential") else None
    except DecryptionError as error:
        # One lost key of the ring must not take the whole catalogue with it.
        logger.error("%s is switched off: %s", row.slug, error)
        return None


def endpoint(row: models.Endpoint, found: Provider, at: Price | None) -> Endpoint:
    return Endpoint(
        id=row.pk,
        tag=row.tag,
        model=row.model.slug,
        provider=found,
        upstream_model=row.upstream_model,
        context_length=row.context_length or row.model.context_length,
        max_prompt_tokens=row.max_prompt_tokens,
        max_completion_tokens=row.max_completion_tokens,
        quantization=row.quantization,
        supported_parameters=frozenset(row.supported_parameters),
        first_token_timeout_s=row.first_token_timeout_s,
        price=at,
        service_tier=row.service_tier,
        weight=found.weight * row.weight / 100,
        is_draining=found.is_draining or row.is_draining,
        inputs=frozenset(row.model.input_modalities),
        outputs=frozenset(row.model.output_modalities),
        allows_distillation=bool(row.model.allows_distillation),
        max_concurrency=row.max_concurrency,
        queue_length=row.queue_length,
        queue_wait_s=row.queue_wait_s,
    )


def model(row: models.Model, endpoints: list[Endpoint]) -> Model:
    return Model(
        slug=row.slug,
        canonical_slug=row.canonical_slug or row.slug,
        name=row.name,
        description=row.description,
        released_at=row.released_at,
        context_length=row.context_length,
        input_modalities=tuple(row.input_modalities),
        output_modalities=tuple(row.output_modalities),
        tokenizer=row.tokenizer,
        instruct_type=row.instruct_type,
        hugging_face_id=row.hugging_face_id,
        knowledge_cutoff=row.knowledge_cutoff,
        endpoints=tuple(sorted(endpoints, key=lambda found: found.tag)),
    )


def price(row: models.Price) -> Price:
    amounts = {name: getattr(row, name) for name in models.Price.AMOUNTS}
    overrides = msgspec.convert(row.overrides, tuple[Override, ...])
    return Price(id=row.pk, **amounts, discount=row.discount, overrides=overrides)
