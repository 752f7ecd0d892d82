"""Vendors' streams gone wrong: events lost, doubled, out of order, members missing; what goes out can still be read."""

import asyncio
import json
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.callers import Caller
from gateway.errors import ApiError
from gateway.generation import Generation, Origin
from gateway.relay.stream import AnswerStream
from gateway.routing.bounds import size
from gateway.skins.base import Skin
from gateway.skins.chat import Chat
from gateway.skins.completions import Completions
from gateway.skins.messages import Messages
from gateway.skins.responses import Responses
from providers.adapters import WIRES
from providers.errors import UpstreamError
from providers.http import Body
from providers.upstream import EventStream
from tests import endpoints
from tests.gateway.test_fuzz_bodies import places
from tests.providers.told import PAYLOADS

SSE = ("openai", "responses", "anthropic", "gemini", "cohere", "cloudflare")
STORIES = ("plain", "tools", "reasoning", "cited")
USER = [{"role": "user", "content": "Rome?"}]
SKINS: dict[str, tuple[Skin, dict[str, Any]]] = {
    "chat": (Chat(), {"messages": USER}),
    "completions": (Completions(), {"prompt": "Rome?"}),
    "messages": (Messages(), {"messages": USER, "max_tokens": 50}),
    "responses": (Responses(), {"input": "Rome?"}),
}
CALLER = Caller(uuid4(), "", uuid4(), None, False, (), (), (), None, None, None)


def recorded(wire: str) -> list[Any]:
    found = []
    for story in STORIES:
        file = PAYLOADS / wire / f"{story}.sse"
        lines = file.read_text().split("\n") if file.exists() else []
        found += [line[5:].strip() for line in lines if line.startswith("data:")]
    return [json.loads(one) for one in found if one != "[DONE]"]


EVENTS = {wire: recorded(wire) for wire in SSE}


class Received:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        return next(self._pieces, b"")


async def relayed(skin: Skin, body: dict[str, Any], wire: str, told: list[Any]) -> bytes:
    request = skin.parse(json.dumps({"model": "acme/m", "stream": True, **body}).encode())
    generation = Generation(CALLER, request, Origin(), size(request))
    endpoint = endpoints.endpoint("acme", provider=endpoints.provider("acme", wire=wire))
    generation.answered(endpoint, 0.0)
    relay = AnswerStream.__new__(AnswerStream)
    relay._generation = generation
    pieces = [b"data: %b\n\n" % json.dumps(one).encode() for one in told]
    stream = EventStream(cast(Body, Received(pieces)), WIRES[wire])
    writer = skin.writer(generation, "acme/m", "Acme")
    written = b""
    try:
        while not stream.is_over:
            written += relay._take(await stream.next(), writer)
    except UpstreamError as error:
        return written + writer.error(ApiError(502, error.message))
    return written + writer.ending(generation, endpoint, 1)


@pytest.mark.parametrize("wire", SSE)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_comes_is_well_formed_whatever_was_sent(wire: str, data: st.DataObject) -> None:
    skin, body = SKINS[data.draw(st.sampled_from(sorted(SKINS)))]
    told = data.draw(st.lists(st.sampled_from(EVENTS[wire]), max_size=12))
    told = [wounded(one, data) for one in told]
    for event in asyncio.run(relayed(skin, body, wire, told)).split(b"\n\n"):
        payload = event.rpartition(b"data: ")[2]
        assert not payload or payload == b"[DONE]" or isinstance(json.loads(payload), dict)


def wounded(event: Any, data: st.DataObject) -> Any:
    """Now and then without one of its members, or with a null in its place."""
    found = json.loads(json.dumps(event))
    if data.draw(st.integers(0, 3)):
        return found
    path = data.draw(st.sampled_from([place for place in places(found) if place]))
    parent = found
    for step in path[:-1]:
        parent = parent[step]
    if data.draw(st.booleans()):
        parent[path[-1]] = None
    else:
        del parent[path[-1]]
    return found
