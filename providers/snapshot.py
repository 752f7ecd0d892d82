"""The catalogue as the router reads it: immutable, in memory, made anew when the tables change."""

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import Struct
from msgspec.structs import force_setattr

from accounts.encryption import DecryptionError
from providers import models
from providers import quirks as quirk
from providers.overrides import Override
from providers.pricing import Price
from providers.quirks import PLAIN, Quirks

logger = logging.getLogger(__name__)

TEXT = frozenset({"text"})
EMBEDDINGS = frozenset({"embeddings"})
VERSION = re.compile(r"[vkm]?([0-9]+(?:\.[0-9]+)*)")
VARIABLE = re.compile(r"\$\{(\w+)\}")


class Provider(Struct, frozen=True):
    slug: str
    name: str
    wire: str
    base_url: str
    secret: str | None
    max_concurrency: int | None
    passthrough: bool
    quirks: Quirks
    is_on: bool
    trains_on_data: bool
    """Unknown counts as yes."""
    retention_days: int | None
    headquarters: str
    datacenters: tuple[str, ...]
    privacy_policy_url: str
    terms_of_service_url: str
    status_page_url: str
    secret_mark: str = ""
    """By which a secret is known again, and nothing more."""
    weight: float = 1.0
    is_draining: bool = False
    queue_length: int | None = None
    """None, here and below, is what settings say."""
    queue_wait_s: int | None = None

    @property
    def is_zdr(self) -> bool:
        """Zero data retention: it keeps nothing and learns from nothing."""
        return self.retention_days == 0 and not self.trains_on_data

    @property
    def collects_data(self) -> bool:
        """It may train on what it is sent, or is known to keep it."""
        return self.trains_on_data or bool(self.retention_days)


class Endpoint(Struct, frozen=True):
    id: UUID
    tag: str
    model: str
    provider: Provider
    upstream_model: str
    context_length: int
    max_prompt_tokens: int | None
    max_completion_tokens: int | None
    quantization: str
    supported_parameters: frozenset[str]
    first_token_timeout_s: int | None
    price: Price | None
    service_tier: str = ""
    weight: float = 1.0
    """Its provider's included."""
    is_draining: bool = False
    """Its provider's included."""
    inputs: frozenset[str] = TEXT
    outputs: frozenset[str] = TEXT
    allows_distillation: bool = False
    max_concurrency: int | None = None
    """Its own, beside its provider's."""
    queue_length: int | None = None
    queue_wait_s: int | None = None
    names: frozenset[str] = frozenset()
    """What clients may call it, in lower case: its tag, and its provider's slug and name with all that is theirs."""

    def __post_init__(self) -> None:
        provider = self.provider
        base = self.tag.split("/")[0]
        names = {self.tag.casefold(), base.casefold(), provider.slug.casefold(), provider.name.casefold()}
        force_setattr(self, "names", frozenset(names))

    @property
    def is_routable(self) -> bool:
        """A missing price is never free, so an endpoint without one is not called."""
        return self.price is not None and self.provider.is_on


class Model(Struct, frozen=True):
    slug: str
    canonical_slug: str
    name: str
    description: str
    released_at: datetime
    context_length: int
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    tokenizer: str
    instruct_type: str
    hugging_face_id: str
    knowledge_cutoff: date | None
    endpoints: tuple[Endpoint, ...]
    routable: tuple[Endpoint, ...] = ()
    """Those of its endpoints that can be called."""
    accepting: tuple[Endpoint, ...] = ()
    """Those of them that take new requests."""
    tiers: frozenset[str] = frozenset()
    """Service tiers that some of them are for."""
    least_context: int = 0
    """Tokens of prompt and answer that all of them take."""
    least_prompt: int = 0
    least_completion: int = 0
    writes: bool = False
    """All of them answer with something that is no embedding."""
    shared_parameters: frozenset[str] = frozenset()
    """Those that all of them list."""

    def __post_init__(self) -> None:
        routable = tuple(endpoint for endpoint in self.endpoints if endpoint.is_routable)
        force_setattr(self, "routable", routable)
        accepting = tuple(endpoint for endpoint in routable if not endpoint.is_draining)
        force_setattr(self, "accepting", accepting)
        force_setattr(self, "tiers", frozenset(one.service_tier for one in accepting if one.service_tier))
        contexts = [one.context_length for one in accepting]
        force_setattr(self, "least_context", min(contexts, default=0))
        prompts = [one.max_prompt_tokens or one.context_length for one in accepting]
        force_setattr(self, "least_prompt", min(prompts, default=0))
        completions = [one.max_completion_tokens or one.context_length for one in accepting]
        force_setattr(self, "least_completion", min(completions, default=0))
        force_setattr(self, "writes", all(one.outputs != EMBEDDINGS for one in accepting))
        listed = [one.supported_parameters for one in accepting]
        force_setattr(self, "shared_parameters", frozenset.intersection(*listed) if listed else frozenset())

    @property
    def is_free(self) -> bool:
        return bool(self.routable) and all(found.price is not None and found.price.is_free for found in self.routable)

    @property
    def price(self) -> int:
        """Of its cheapest endpoint, to put models in order: pico-USD for three tokens of prompt and one of answer."""
        found = [one.price for one in self.accepting if one.price is not None]
        return min((3 * price.prompt + price.completion for price in found), default=0)


class Snapshot(Struct, frozen=True):
    providers: dict[str, Provider]
    models: dict[str, Model]
    latest: dict[str, str] = {}
    """The newest model of each family, by its alias (`~author/family-latest`)."""
    writers: tuple[Model, ...] = ()
    """The models that answer with text, the cheapest first."""

    def __post_init__(self) -> None:
        force_setattr(self, "latest", aliases(self.models))
        writers = [found for found in self.models.values() if found.accepting and "text" in found.accepting[0].outputs]
        force_setattr(self, "writers", tuple(sorted(writers, key=lambda found: (found.price, found.slug))))


def aliases(models: dict[str, Model]) -> dict[str, str]:
    newest: dict[str, Model] = {}
    for found in models.values():
        if not found.routable or (alias := alias_of(found.slug)) is None:
            continue
        best = newest.get(alias)
        if best is None or newness(found) > newness(best):
            newest[alias] = found
    return {alias: found.slug for alias, found in newest.items()}


def newness(found: Model) -> tuple[date, list[list[int]], str]:
    """By its day of release; of one day, by its version."""
    words = (VERSION.fullmatch(word) for word in found.slug.partition("/")[2].split("-"))
    versions = [[int(part) for part in word[1].split(".")] for word in words if word]
    return found.released_at.date(), versions, found.slug


def alias_of(slug: str) -> str | None:
    """A family is a slug without its version: claude-sonnet-4.5 and claude-3.5-sonnet are both of claude-sonnet."""
    author, _, name = slug.partition("/")
    words = name.split("-")
    family = [word for word in words if not VERSION.fullmatch(word)]
    if ":" in name or not family or len(family) == len(words):
        return None
    return f"~{author}/{'-'.join(family)}-latest"


EMPTY = Snapshot(providers={}, models={})


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
