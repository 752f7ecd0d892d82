"""Writes gathered on their way to a client."""

import asyncio
from typing import Any, cast

import pytest

from gateway import cork
from gateway.cork import CorkedTransport


class Client:
    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.is_gone = self.is_aborted = False
        self.unsent = 0

    def write(self, data: bytes) -> None:
        assert not self.is_gone
        self.got.append(data)

    def is_closing(self) -> bool:
        return self.is_gone

    def close(self) -> None:
        self.is_gone = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.is_aborted = True


def corked(client: Client) -> CorkedTransport:
    return CorkedTransport(cast(Any, client), asyncio.get_running_loop())


HEAD = b"HTTP/1.1 200 OK"


async def test_a_head_leaves_with_what_follows_it_in_one_turn() -> None:
    client = Client()
    transport = corked(client)
    transport.write(HEAD)
    transport.write(b"body")
    assert client.got == []
    await asyncio.sleep(0)
    assert client.got == [HEAD + b"body"]


async def test_a_chunk_leaves_at_once_and_never_before_its_head() -> None:
    client = Client()
    transport = corked(client)
    transport.write(HEAD)
    transport.write(b"1")
    await asyncio.sleep(0)
    transport.write(b"2")
    assert client.got == [HEAD + b"1", b"2"]


async def test_closing_sends_what_was_written() -> None:
    client = Client()
    transport = corked(client)
    transport.write(HEAD)
    transport.close()
    assert (client.got, client.is_gone) == ([HEAD], True)


async def test_nothing_goes_to_a_client_that_left() -> None:
    client = Client()
    transport = corked(client)
    transport.write(HEAD)
    client.is_gone = True
    await asyncio.sleep(0)
    transport.write(b"y")
    transport.close()
    assert client.got == []


async def test_a_client_that_does_not_take_the_rest_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cork, "LINGER_S", 0.02)
    taking, stuck = Client(), Client()
    stuck.unsent = 1
    corked(taking).close()
    corked(stuck).close()
    await asyncio.sleep(0.05)
    assert (taking.is_aborted, stuck.is_aborted) == (False, True)
