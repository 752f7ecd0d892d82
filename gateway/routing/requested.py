"""Which models a request names: slugs, variants behind colons, aliases and routers."""

from functools import lru_cache

from msgspec import Struct

from gateway.errors import ApiError
from gateway.routing.unavailable import unavailable
from providers.preferences import SortBy
from providers.snapshot import Model, Snapshot

NO_TIERS: frozenset[str] = frozenset()


class Variant(Struct, frozen=True):
    sort: SortBy
    tier: str = ""


ROUTING: dict[str, Variant] = {
    "nitro": Variant("throughput", "priority"),
    "floor": Variant("price", "flex"),
    "exacto": Variant("exacto"),
}
# Rows of the catalogue; a model without that row never falls back to the plain one.
CATALOGUE = frozenset({"free", "batch", "thinking", "extended", "beta"})


class Asked(Struct, frozen=True):
    """One model that the request names, and how its endpoints are to be put in order."""

    model: Model
    sort: SortBy | None = None
    tiers: frozenset[str] = NO_TIERS


class Slug(Struct, frozen=True):
    """A slug of the catalogue and what the routing variants behind it ask for."""

    name: str
    sort: SortBy | None
    tiers: frozenset[str]
    is_online: bool


@lru_cache(maxsize=10_000)
def parsed(slug: str) -> Slug:
    """Variants stand in any order; of those that sort the last one wins."""
    name, *suffixes = slug.split(":")
    kept = [suffix for suffix in suffixes if suffix not in ROUTING and suffix != "online"]
    variants = [ROUTING[suffix] for suffix in suffixes if suffix in ROUTING]
    return Slug(
        name=":".join([name, *kept]),
        sort=variants[-1].sort if variants else None,
        tiers=frozenset(variant.tier for variant in variants if variant.tier),
        is_online="online" in suffixes,
    )


def asked(slug: str, snapshot: Snapshot) -> Asked:
    """The model of the catalogue. Raises ApiError 400 or 404 when there is none."""
    model = snapshot.models.get(slug)
    if model is not None:
        return Asked(model)
    wanted = refuse_search(parsed(slug), slug)
    model = snapshot.models.get(snapshot.latest.get(wanted.name, wanted.name))
    if model is None:
        raise unknown(slug, wanted.name, snapshot)
    return Asked(model, wanted.sort, wanted.tiers)


def refuse_search(wanted: Slug, slug: str) -> Slug:
    if wanted.is_online:
        raise ApiError(400, f"{slug}: web search (`:online`) is not built here; leave the suffix out.")
    return wanted


def unknown(slug: str, name: str, snapshot: Snapshot) -> ApiError:
    base, _, suffix = name.partition(":")
    if suffix in CATALOGUE and base in snapshot.models:
        code = "free_variant_ended" if suffix == "free" else "no_endpoints"
        return unavailable(404, code, [slug], f"No endpoints found for {name}. {base} is there without `:{suffix}`.")
    if slug.startswith("~"):
        return unavailable(400, "model_not_found", [slug], f"{slug} is not an alias of any model here")
    return unavailable(400, "model_not_found", [slug], f"{slug} is not a valid model ID")
