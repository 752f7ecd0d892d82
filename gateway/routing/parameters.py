"""Which request parameters an endpoint must take, or should."""

from providers.adapters.openai import LISTED_AS, OPTIONAL, STANDARD
from providers.canonical import NULL, ChatRequest, Request
from providers.snapshot import Endpoint

# What an endpoint takes of which nothing is listed.
UNLISTED = STANDARD | {"structured_outputs"}
# Several words for one ability, as `supported_parameters` lists it.
ABILITIES = {
    **{name: name for name in OPTIONAL},
    **LISTED_AS,
    "reasoning": "reasoning",
    "reasoning_effort": "reasoning",
    "include_reasoning": "reasoning",
    "web_search_options": "web_search_options",
}
# The modality filter knows about these.
for name in ("modalities", "audio"):
    ABILITIES.pop(name, None)


def takes(endpoint: Endpoint) -> frozenset[str]:
    return endpoint.supported_parameters or UNLISTED


def sent(request: Request) -> frozenset[str]:
    """Everything that the client has set and that an endpoint may not know."""
    found = {ABILITIES[name] for name, raw in request.fields.items() if name in ABILITIES and raw != NULL}
    return frozenset(found | set(wished(request.chat)))


def wished(chat: ChatRequest) -> list[str]:
    """What endpoints should take if any of the model does; where none does, it is left out of the request (§2.2)."""
    found = []
    if chat.tools:
        found.append("tools")
    if chat.response_format is not None and chat.response_format.type != "text":
        found.append("response_format")
        if chat.response_format.type == "json_schema":
            found.append("structured_outputs")
    if chat.verbosity is not None:
        found.append("verbosity")
    return found
