"""Which endpoints may answer, in which order: a pure function. No I/O, no clock.

Filters, then for each model an order by price or preference, the rest behind as fallbacks (reference §4).
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from random import Random

from msgspec import Struct

from accounts.policy import NO_POLICY, Policy
from gateway.routing import live, parameters, routers
from gateway.routing.bounds import Size
from gateway.routing.filters import suit
from gateway.routing.live import Views
from gateway.routing.nothing import nothing_left
from gateway.routing.ranking import Ranking, Seen, looked_up, ranked, with_the_unfit_last
from gateway.routing.requested import Asked, asked, parsed, refuse_search
from gateway.routing.sessions import Place
from gateway.routing.wanted import Wanted, read
from providers.canonical import Request
from providers.preferences import Sort, SortBy
from providers.snapshot import Endpoint, Model, Snapshot

# Of these tiers only their own endpoints answer, where there are any.
EXCLUSIVE = "flex"
ROUTERS = {routers.AUTO: "auto", routers.FREE: "free"}


class Plan(Struct, frozen=True):
    candidates: list[Endpoint]
    """In the order in which they are tried; at least one."""
    strategy: str
    """As `openrouter_metadata` names it."""
    considered: int
    """Endpoints of the models asked for, before any filter."""


class Group(Struct, frozen=True):
    """A model that may answer, and its endpoints that may."""

    asked: Asked
    endpoints: Sequence[Endpoint]


def plan(
    request: Request,
    snapshot: Snapshot,
    size: Size,
    random: Random,
    *,
    views: Views = live.EMPTY,
    policy: Policy = NO_POLICY,
    stuck: Place | None = None,
) -> Plan:
    """Raises ApiError 400, 404 or 503 when no endpoint may answer."""
    wanted = read(request, size, policy)
    slugs = request.chat.candidates
    groups = [group for slug in slugs for group in serving(slug, wanted, snapshot, random, stuck)]
    if not any(group.endpoints for group in groups):
        models = [group.asked.model for group in groups] or list(snapshot.writers)
        raise nothing_left(slugs, models, wanted.filters)
    candidates = in_order(groups, wanted, views, random, stuck)
    considered = sum([len(group.asked.model.accepting) for group in groups])
    return Plan([endpoint for endpoint, _ in candidates], strategy(slugs[0], snapshot), considered)


def strategy(slug: str, snapshot: Snapshot) -> str:
    if slug in snapshot.models:
        return "direct"
    name = parsed(slug).name
    return ROUTERS.get(name) or ("latest" if name.startswith("~") else "direct")


def serving(slug: str, wanted: Wanted, snapshot: Snapshot, random: Random, stuck: Place | None) -> list[Group]:
    """The models that a slug stands for: itself, or a few that a router picks."""
    if not slug.startswith("openrouter/") or (name := parsed(slug).name) not in ROUTERS:
        found = asked(slug, snapshot)
        return [Group(found, survivors(found, wanted))]
    refuse_search(parsed(slug), slug)
    if name == routers.FREE:
        models: Iterable[Model] = routers.free(snapshot, random)
    else:
        models = list(routers.auto(wanted.request, wanted.size, snapshot))
        if stuck is not None:
            # A conversation stays with the model that it began with.
            models = sorted(models, key=lambda model: model.slug != stuck.model)
    return picked(slug, list(models), wanted, is_strict=True) or picked(slug, list(models), wanted, is_strict=False)


def picked(slug: str, models: list[Model], wanted: Wanted, *, is_strict: bool) -> list[Group]:
    """The first few that can answer; strict: that take all that the request uses."""
    variants = parsed(slug)
    groups: list[Group] = []
    for model in models:
        one = Asked(model, variants.sort, variants.tiers)
        if left := survivors(one, wanted, is_strict=is_strict):
            groups.append(Group(one, left))
        if len(groups) == routers.PICKED:
            break
    return groups


def survivors(model: Asked, wanted: Wanted, *, is_strict: bool = False) -> Sequence[Endpoint]:
    """The endpoints of one model that pass every filter, narrowed to those that take what is wished for."""
    left = eligible(model, wanted)
    if not (wanted.is_plain and suit(model.model, wanted.size)):
        for one in wanted.filters:
            if one.spares is None or not one.spares(model.model):
                left = list(filter(one.keeps, left))
    for parameter in parameters.wished(wanted.request.chat):
        if parameter not in model.model.shared_parameters:
            able = [endpoint for endpoint in left if parameter in parameters.takes(endpoint)]
            # Where none takes it the model stays, and the parameter is left out.
            left = able if able or is_strict else left
    if wanted.tier == EXCLUSIVE:
        left = [endpoint for endpoint in left if endpoint.service_tier == EXCLUSIVE] or left
    return left


def eligible(model: Asked, wanted: Wanted) -> Sequence[Endpoint]:
    """A service tier's endpoints only for who asks for the tier or spells out their tag."""
    found = model.model
    if not found.tiers:
        return found.accepting
    tiers = model.tiers | {"", wanted.tier}
    return [one for one in found.accepting if one.service_tier in tiers or one.tag.casefold() in wanted.named]


def in_order(groups: list[Group], wanted: Wanted, views: Views, random: Random, stuck: Place | None) -> list[Seen]:
    chosen = wanted.preferences
    seen = [looked_up(group.endpoints, views) for group in groups]
    if isinstance(chosen.sort, Sort) and chosen.sort.partition == "none":
        parts = [ranked(list(chain.from_iterable(seen)), ranking(groups[0].asked, wanted), wanted.size, random)]
    else:
        parts = [
            ranked(found, ranking(group.asked, wanted), wanted.size, random)
            for group, found in zip(groups, seen, strict=True)
        ]
    if stuck is not None and not chosen.order:
        parts = [with_the_stuck_first(part, stuck) for part in parts]
    if chosen.allow_fallbacks is False and not chosen.order:
        parts = [with_the_unfit_last(part, chosen)[:1] for part in parts]
    return with_the_unfit_last(parts[0] if len(parts) == 1 else list(chain.from_iterable(parts)), chosen)


def with_the_stuck_first(part: list[Seen], stuck: Place) -> list[Seen]:
    """Where the conversation's cache is, unless that had an outage."""
    for index, (endpoint, seen) in enumerate(part):
        if endpoint.id == stuck.endpoint and not seen.had_outage:
            return [part[index], *part[:index], *part[index + 1 :]]
    return part


def ranking(model: Asked, wanted: Wanted) -> Ranking:
    chosen = wanted.preferences
    by: SortBy | None = chosen.sort.by if isinstance(chosen.sort, Sort) else chosen.sort
    by = by or model.sort
    if by is None and wanted.tier == "flex" and "flex" in model.model.tiers:
        by = "price"
    if by is None and wanted.tier == "priority" and "priority" in model.model.tiers:
        return Ranking(tuple(chosen.order or ()), "throughput", puts_tiers_first=True)
    return Ranking(tuple(chosen.order or ()), by, uses_tools=bool(wanted.request.chat.tools))
