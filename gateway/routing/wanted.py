"""What a request says of who may answer it, read once for all its models."""

from itertools import chain

from msgspec import Struct

from accounts.policy import Policy
from gateway.errors import ApiError
from gateway.routing import preferences, routers
from gateway.routing.bounds import Size
from gateway.routing.filters import Filter, filters
from providers.canonical import ChatRequest, ProviderPreferences, Request

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
SERVER_TOOLS = ("openrouter:", "web_search")


class Wanted(Struct, frozen=True):
    """A request with the defaults of its key."""

    request: Request
    size: Size
    preferences: ProviderPreferences
    filters: list[Filter]
    tier: str
    named: frozenset[str]
    """Tags that the request spells out."""


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
        if plugin.enabled is not False and plugin.id != routers.PLUGIN:
            raise ApiError(400, f"plugins: {plugin.id!r} is not built here.")
    for place, tool in enumerate(chat.tools or ()):
        if tool.type.startswith(SERVER_TOOLS):
            raise ApiError(400, f"tools[{place}].type: {tool.type!r} runs on the server, which is not built here.")
