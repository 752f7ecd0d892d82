"""Streams on their way to a client that may not take them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from asgiref.typing import ASGISendCallable

from gateway import lean
from gateway.lean import Disconnected, relay


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "PATIENCE_S", 0.1)


async def three(pause: float = 0) -> AsyncIterator[bytes]:
    for part in (b"one", b"two", b"three"):
        await asyncio.sleep(pause)
        yield part


def client(taken: list[bytes], wait: Callable[[], Awaitable[Any]]) -> ASGISendCallable:
    async def send(message: Any) -> None:
        await wait()
        taken.append(message["body"])

    return cast(ASGISendCallable, send)


async def test_a_client_that_takes_nothing_is_left() -> None:
    taken: list[bytes] = []
    began = asyncio.get_running_loop().time()
    with pytest.raises(Disconnected):
        await relay(three(), client(taken, asyncio.Event().wait))
    assert asyncio.get_running_loop().time() - began < 0.5
    assert taken == []


@pytest.mark.parametrize(("provider", "reader"), [(0.25, 0), (0, 0.08)])
async def test_slow_is_not_stuck(provider: float, reader: float) -> None:
    taken: list[bytes] = []
    await relay(three(provider), client(taken, lambda: asyncio.sleep(reader)))
    assert taken == [b"one", b"two", b"three"]


async def test_any_other_cancellation_is_none_of_its_business() -> None:
    task = asyncio.create_task(relay(three(), client([], asyncio.Event().wait)))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
