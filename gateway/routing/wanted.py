"""What a request says of who may answer it, read once for all its models."""

from functools import cached_property
from itertools import chain

from msgspec import Struct

from accounts.policy import Policy
from gateway.errors import ApiError
from gateway.routing import preferences, routers
from gateway.routing.bounds import Size
from gateway.routing.filters import Filter, are_needless, filters, folded
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


NOBODY: frozenset[str] = frozenset()


class Wanted(Struct, frozen=True, dict=True):
    """A request with the defaults of its key."""

    request: Request
    size: Size
    policy: Policy
    preferences: ProviderPreferences
    tier: str
    named: frozenset[str]
    """Tags that the request spells out."""
    is_plain: bool
    """Only a model's lengths can stand in its way."""

    @cached_property
    def filters(self) -> list[Filter]:
        return filters(self.request, self.preferences, self.policy, self.size)


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
        policy=policy,
        preferences=chosen,
        tier=tier,
        named=folded(chain(chosen.only or (), chosen.order or ())) if chosen.only or chosen.order else NOBODY,
        is_plain=are_needless(request, chosen, policy, size),
    )


def refuse_what_is_not_built(chat: ChatRequest) -> None:
    """What would run here beside the model: to leave it out in silence would be another answer than was asked for."""
    for plugin in chat.plugins or ():
        if plugin.enabled is not False and plugin.id != routers.PLUGIN:
            raise ApiError(400, f"plugins: {plugin.id!r} is not built here.")
    for place, tool in enumerate(chat.tools or ()):
        if tool.type.startswith(SERVER_TOOLS):
            raise ApiError(400, f"tools[{place}].type: {tool.type!r} runs on the server, which is not built here.")
