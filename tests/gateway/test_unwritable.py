"""An answer that cannot be written is not paid for: it is written before it is settled."""

import json
from types import SimpleNamespace
from typing import Any, NoReturn, cast
from uuid import uuid4

import pytest

from accounts.callers import Caller
from billing.holds import Hold
from billing.items import Settle
from gateway import errors
from gateway.errors import ApiError
from gateway.generation import Generation, Origin
from gateway.relay import whole as relay
from gateway.routing.bounds import size
from gateway.services import Services
from gateway.skins.chat import Chat
from providers.adapters import WIRES
from tests import endpoints
from tests.upstream import text_reply

CALLER = Caller(uuid4(), "", uuid4(), None, False, (), (), (), None, None, None)


class Broken(Chat):
    def completion(self, *_: Any) -> NoReturn:
        raise ValueError("this cannot be encoded")


class Till:
    def __init__(self) -> None:
        self.settled: list[Settle] = []

    def settle_soon(self, hold: Hold, settlement: Settle) -> None:
        self.settled.append(settlement)

    async def settle(self, hold: Hold, settlement: Settle) -> Settle:
        self.settled.append(settlement)
        return settlement


async def answered(skin: Chat, till: Till, monkeypatch: pytest.MonkeyPatch) -> bytes:
    body = {"model": "acme/m", "messages": [{"role": "user", "content": "Hi"}]}
    request = skin.parse(json.dumps(body).encode())
    generation = Generation(CALLER, request, Origin(), size(request))

    async def first_answer(*_: Any) -> Any:
        generation.answered(endpoints.endpoint("acme"), 0.0)
        return WIRES["openai"].completion(json.dumps(text_reply()["reply"]).encode())

    monkeypatch.setattr(relay, "first_answer", first_answer)
    services = cast(Services, SimpleNamespace(till=till, slots=None, http=None))
    hold = cast(Hold, SimpleNamespace(is_trusted=lambda now: True))
    return await relay.whole(services, skin, generation, hold, [])


async def test_nothing_is_charged_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    till = Till()
    with pytest.raises(ValueError, match="encoded"):
        await answered(Broken(), till, monkeypatch)
    assert [one.charge for one in till.settled] == [0]
    assert json.loads(bytes(till.settled[0].record))["outcome"] == "error"


async def test_what_can_be_written_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    till = Till()
    assert json.loads(await answered(Chat(), till, monkeypatch))["choices"]
    assert [one.charge > 0 for one in till.settled] == [True]


def test_an_error_of_ours_is_masked() -> None:
    said = errors.of_generation("gen-1", ValueError("secret"))
    assert isinstance(said, ApiError)
    assert (said.status, "secret" in said.message) == (500, False)
