"""The till's connection to PostgreSQL when the other side goes away, on the loop that the product runs on."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from billing import link as link_module
from billing.link import Link
from tests.billing.conftest import Book

FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
LAST_WORDS = b"E" + struct.pack("!i", 4 + len(FIELDS)) + FIELDS
STATEMENTS = {"say": "SELECT 'hello'", "wait": "SELECT pg_sleep(30)::text"}


class Server:
    """PostgreSQL through a socket of the test's own; `dies` ends it with the next query unread."""

    def __init__(self, directory: Path, url: str) -> None:
        info = conninfo_to_dict(url)
        self.url = make_conninfo(url, host=str(directory))
        self._real = f"{info['host']}/.s.PGSQL.{info.get('port', 5432)}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{directory}/.s.PGSQL.{info.get('port', 5432)}")
        self._listener.listen()
        self.dies = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._real)
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target, source is client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while source.recv(1, socket.MSG_PEEK):
                if is_client and self.dies:
                    source.sendall(LAST_WORDS)
                    source.close()
                    return
                target.sendall(source.recv(65536))


def run(of: Callable[[Link], Coroutine[Any, Any, None]], url: str) -> None:
    async def main() -> None:
        link = await Link.connect(url, "", STATEMENTS)
        try:
            await of(link)
        finally:
            link.close()

    uvloop.run(main())


def test_a_server_that_dies_before_it_reads_a_call_is_noticed_at_once(tmp_path_factory: Any, book: Book) -> None:
    server = Server(tmp_path_factory.mktemp("s"), book.url)

    async def call(link: Link) -> None:
        assert await link.call("say", []) == [b"hello"]
        server.dies = True
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await link.call("say", [])
        assert time.monotonic() - began < 1
        assert not link.is_open

    run(call, server.url)


def test_a_server_that_does_not_answer_is_left(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CALL_TIMEOUT_S", 0.3)

    async def call(link: Link) -> None:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await link.call("wait", [])
        assert 0.3 < time.monotonic() - began < 2
        assert not link.is_open

    run(call, book.url)


def test_calls_go_on_after_a_statement_that_failed(book: Book) -> None:
    async def call(link: Link) -> None:
        with pytest.raises(psycopg.Error):
            await link.call("nothing", [])
        assert await link.call("say", []) == [b"hello"]
        await asyncio.sleep(0)

    run(call, book.url)
