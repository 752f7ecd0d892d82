"""Which endpoints may answer, in which order: a pure function. No I/O, no clock.

Filters, then for each model an order by price or preference, the rest behind as fallbacks (reference §4).
"""

from collections.abc import Iterable
from itertools import chain
from random import Random

from msgspec import Struct

from accounts.policy import NO_POLICY, Policy
from gateway.errors import ApiError
from gateway.routing import live, parameters, preferences
from gateway.routing.bounds import Size
from gateway.routing.filters import Filter, filters
from gateway.routing.live import View
from gateway.routing.nothing import nothing_left
from gateway.routing.ranking import Ranking, looked_up, ranked, with_the_unfit_last
from gateway.routing.requested import Asked, asked
from providers.canonical import ChatRequest, ProviderPreferences, Request
from providers.preferences import Sort, SortBy
from providers.snapshot import Endpoint, Snapshot

SERVICE_TIERS = {
    "auto": "",
    "default": "",
    "standard": "",
    "scale": "",
    "fast": "priority",
    "priority": "priority",
    "ultrafast": "priority",
    "flex": "flex",
}
# Of these tiers only their own endpoints answer, where there are any.
EXCLUSIVE = "flex"


class Wanted(Struct, frozen=True):
    """What a request says of its providers, its key's defaults included."""

    request: Request
    size: Size
    preferences: ProviderPreferences
    filters: list[Filter]
    tier: str
    named: frozenset[str]
    """Tags that the request spells out."""


def plan(
    request: Request,
    snapshot: Snapshot,
    size: Size,
    random: Random,
    *,
    view: View = live.EMPTY,
    policy: Policy = NO_POLICY,
) -> list[Endpoint]:
    """The candidates in the order in which they are tried. Raises ApiError 400, 404 or 503 when there is none."""
    wanted = read(request, size, policy)
    models = [asked(slug, snapshot) for slug in request.chat.candidates]
    left = [survivors(model, wanted) for model in models]
    if not any(left):
        raise nothing_left([one.model for one in models], wanted.filters)
    chosen = wanted.preferences
    seen = [looked_up(endpoints, view) for endpoints in left]
    if isinstance(chosen.sort, Sort) and chosen.sort.partition == "none":
        parts = [ranked(list(chain.from_iterable(seen)), ranking(models[0], wanted), size, random)]
    else:
        parts = [ranked(found, ranking(model, wanted), size, random) for model, found in zip(models, seen, strict=True)]
    if chosen.allow_fallbacks is False and not chosen.order:
        parts = [with_the_unfit_last(part, chosen)[:1] for part in parts]
    found = parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
    return [endpoint for endpoint, _ in with_the_unfit_last(found, chosen)]


def read(request: Request, size: Size, policy: Policy) -> Wanted:
    chat = request.chat
    refuse_what_is_not_built(chat)
    chosen = preferences.effective(chat.provider, policy)
    tier = SERVICE_TIERS.get(chat.service_tier or "auto")
    if tier is None:
        raise ApiError(400, f"service_tier: {chat.service_tier!r} is not one of {', '.join(SERVICE_TIERS)}.")
    return Wanted(
        request=request,
        size=size,
        preferences=chosen,
        filters=filters(request, chosen, policy, size),
        tier=tier,
        named=frozenset(name.casefold() for name in chain(chosen.only or (), chosen.order or ())),
    )


def refuse_what_is_not_built(chat: ChatRequest) -> None:
    """What would run here beside the model: to leave it out in silence would be another answer than was asked for."""
    for plugin in chat.plugins or ():
        if plugin.enabled is not False and plugin.id not in ROUTER_PLUGINS:
            raise ApiError(400, f"plugins: {plugin.id!r} is not built here.")
    for place, tool in enumerate(chat.tools or ()):
        if is_of_the_server(tool.type):
            raise ApiError(400, f"tools[{place}].type: {tool.type!r} runs on the server, which is not built here.")


ROUTER_PLUGINS = frozenset({"auto-router"})
SERVER_TOOLS = ("openrouter:", "web_search")


def is_of_the_server(kind: str) -> bool:
    return kind.startswith(SERVER_TOOLS)


def survivors(model: Asked, wanted: Wanted) -> list[Endpoint]:
    """The endpoints of one model that pass every filter, narrowed to those that take what is wished for."""
    left = list(eligible(model, wanted))
    for one in wanted.filters:
        if one.spares is None or not one.spares(model.model):
            left = list(filter(one.keeps, left))
    for parameter in parameters.wished(wanted.request.chat):
        if parameter not in model.model.shared_parameters:
            # Where none takes it the model stays, and the parameter is left out.
            left = [endpoint for endpoint in left if parameter in parameters.takes(endpoint)] or left
    if wanted.tier == EXCLUSIVE:
        left = [endpoint for endpoint in left if endpoint.service_tier == EXCLUSIVE] or left
    return left


def eligible(model: Asked, wanted: Wanted) -> Iterable[Endpoint]:
    """A service tier's endpoints only for who asks for the tier or spells out their tag."""
    found = model.model
    if not found.tiers:
        return found.accepting
    tiers = model.tiers | {"", wanted.tier}
    return [one for one in found.accepting if one.service_tier in tiers or one.tag.casefold() in wanted.named]


def ranking(model: Asked, wanted: Wanted) -> Ranking:
    chosen = wanted.preferences
    by: SortBy | None = chosen.sort.by if isinstance(chosen.sort, Sort) else chosen.sort
    by = by or model.sort
    if by is None and wanted.tier == "flex" and "flex" in model.model.tiers:
        by = "price"
    if by is None and wanted.tier == "priority" and "priority" in model.model.tiers:
        return Ranking(tuple(chosen.order or ()), "throughput", puts_tiers_first=True)
    return Ranking(tuple(chosen.order or ()), by)
