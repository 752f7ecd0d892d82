"""The catalogue as the router reads it: immutable, in memory, made anew when the tables change."""

import re
from datetime import date, datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import force_setattr

from providers.pricing import Price
from providers.quirks import Quirks

TEXT = frozenset({"text"})
EMBEDDINGS = frozenset({"embeddings"})
VERSION = re.compile(r"[vkm]?([0-9]+(?:\.[0-9]+)*)")


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
