"""The transport against servers that behave, misbehave and vanish."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from providers import connection as connections
from providers import http as transports
from providers.http import Answer, Origin, UpstreamTransport
from tests.upstream import read_request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"POST /v1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[UpstreamTransport]:
    transport = UpstreamTransport()
    yield transport
    await transport.aclose()


class Server:
    """Counts its connections and requests; plays a handler on each connection."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.left = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.left.set()
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Origin]:
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        try:
            yield "http", "127.0.0.1", server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_an_answer_that_comes_as_its_client_leaves_leaves_no_connection(
    transport: UpstreamTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = answering(OK)
    async with server.running() as origin:
        task = asyncio.create_task(transport.exchange(origin, REQUEST))
        received = connections.Connection.data_received

        def receive(self: connections.Connection, data: bytes) -> None:
            received(self, data)
            task.cancel()

        monkeypatch.setattr(connections.Connection, "data_received", receive)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.left.wait(), 5)


def answering(*parts: bytes, pause: float = 0, hold: float = 0) -> Server:
    """Answers each request with these pieces; ends the connection after `hold` seconds when it is more than 0."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if hold:
                await asyncio.sleep(hold)
                return

    return Server(handler)


def reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ask(transport: UpstreamTransport, origin: Origin, **timeouts: float) -> Answer:
    return await transport.exchange(origin, REQUEST, **timeouts)


async def whole(transport: UpstreamTransport, origin: Origin, **timeouts: float) -> bytes:
    return await (await ask(transport, origin, **timeouts)).body.read_all(10**9)


# Answers


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
    ],
)
async def test_a_body_of_known_length(transport: UpstreamTransport, head: bytes) -> None:
    async with answering(head, b"hello").running() as origin:
        answer = await ask(transport, origin)
        assert answer.status == 200
        assert b"link" not in dict(answer.headers)
        assert await answer.body.read_all(5) == b"hello"


async def test_a_chunked_body_byte_by_byte(transport: UpstreamTransport) -> None:
    wire = CHUNKED + b"3\r\nhel\r\n2;extension=1\r\nlo\r\n0\r\ntrailer: x\r\n\r\n"
    server = answering(*(wire[place : place + 1] for place in range(len(wire))))
    async with server.running() as origin:
        assert await whole(transport, origin) == b"hello"
        assert await whole(transport, origin) == b"hello"
    assert server.connections == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_until_the_end_of_the_connection(transport: UpstreamTransport, version: bytes) -> None:
    head = b"HTTP/%s 200 OK\r\n\r\n" % version
    async with answering(head, b"hel", b"lo", pause=0.02, hold=0.02).running() as origin:
        assert await whole(transport, origin) == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body(transport: UpstreamTransport, status: int) -> None:
    server = answering(b"HTTP/1.1 %d X\r\n\r\n" % status)
    async with server.running() as origin:
        for _ in range(2):
            answer = await ask(transport, origin)
            assert (answer.status, await answer.body.read_all(1)) == (status, b"")
    assert server.connections == 1


async def test_what_has_come_is_read_at_once(transport: UpstreamTransport) -> None:
    async with answering(CHUNKED, b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n", pause=0.05).running() as origin:
        body = (await ask(transport, origin)).body
        assert [await body.read() for _ in range(3)] == [b"one", b"two", b""]


async def test_a_body_beyond_the_limit_is_refused(transport: UpstreamTransport) -> None:
    server = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x" * 1_000_000)
    async with server.running() as origin:
        with pytest.raises(httpx.RemoteProtocolError, match="larger than 1000 bytes"):
            await (await ask(transport, origin)).body.read_all(1000)


async def test_httpxs_own_client_can_use_it(transport: UpstreamTransport) -> None:
    async with answering(OK).running() as (_, host, port), httpx.AsyncClient(transport=transport) as client:
        response = await client.post(f"http://{host}:{port}/v1", json={"a": 1})
        assert (response.status_code, response.text) == (200, "hello")


# Failures


async def test_nobody_listens(transport: UpstreamTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError):
            await ask(transport, ("http", "127.0.0.1", unused.getsockname()[1]))


async def test_no_answer_to_the_connection(transport: UpstreamTransport) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for other in (first, second):
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        began = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            await ask(transport, ("http", *full.getsockname()), connect_timeout=0.2)
        assert 0.15 < time.monotonic() - began < 1


@pytest.mark.parametrize("garbage", [b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100, b"SSH-2.0-OpenSSH\r\n"])
async def test_what_is_not_http(transport: UpstreamTransport, garbage: bytes) -> None:
    async with answering(garbage).running() as origin:
        with pytest.raises(httpx.RemoteProtocolError, match="not HTTP"):
            await ask(transport, origin, first_byte_timeout=5)


async def test_a_broken_chunk(transport: UpstreamTransport) -> None:
    async with answering(CHUNKED, b"5\r\nhello\r\n", b"zzz\r\n", pause=0.02).running() as origin:
        body = (await ask(transport, origin)).body
        assert await body.read() == b"hello"
        with pytest.raises(httpx.RemoteProtocolError):
            await body.read()


async def test_closed_without_an_answer(transport: UpstreamTransport) -> None:
    server = answering(b"", hold=0.01)
    async with server.running() as origin:
        with pytest.raises(httpx.ReadError):
            await ask(transport, origin)
    # The connection was fresh: nothing is repeated.
    assert server.connections == 1


@pytest.mark.parametrize("head", [CHUNKED + b"5\r\nhel", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"])
@pytest.mark.parametrize("hard", [False, True])
async def test_cut_in_the_middle_of_the_body(transport: UpstreamTransport, head: bytes, hard: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.05)
        if hard:
            reset(writer)

    async with Server(handler).running() as origin:
        body = (await ask(transport, origin)).body
        assert await body.read() == b"hel"
        with pytest.raises(httpx.ReadError):
            await body.read()


async def test_reset_is_no_end_of_a_body_without_length(transport: UpstreamTransport) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhel")
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async with Server(handler).running() as origin:
        with pytest.raises(httpx.ReadError):
            await whole(transport, origin)


async def test_silence_before_the_answer(transport: UpstreamTransport) -> None:
    # A head that trickles in is silence too.
    slow = answering(*(bytes([one]) for one in OK), pause=0.02)
    async with slow.running() as origin:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            await ask(transport, origin, first_byte_timeout=0.15)
        assert 0.1 < time.monotonic() - began < 1


async def test_silence_within_the_answer(transport: UpstreamTransport) -> None:
    async with answering(CHUNKED, b"5\r\nhello\r\n", hold=5).running() as origin:
        body = (await ask(transport, origin)).body
        assert await body.read() == b"hello"
        with pytest.raises(httpx.ReadTimeout):
            await body.read(idle_timeout=0.1)


async def test_pauses_shorter_than_the_limit_are_no_silence(transport: UpstreamTransport) -> None:
    parts = [b"5\r\nhello\r\n"] * 6
    async with answering(CHUNKED, *parts, b"0\r\n\r\n", pause=0.06).running() as origin:
        body = (await ask(transport, origin, first_byte_timeout=0.15)).body
        received = b""
        while data := await body.read(idle_timeout=0.15):
            received += data
        assert received == b"hello" * 6


async def test_an_answer_that_takes_too_long_altogether(transport: UpstreamTransport) -> None:
    parts = [b"1\r\nx\r\n"] * 100
    async with answering(CHUNKED, *parts, pause=0.02).running() as origin:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            await whole(transport, origin, total_timeout=0.2)
        assert 0.15 < time.monotonic() - began < 1


# Kept connections


async def test_a_connection_carries_one_request_after_the_other(transport: UpstreamTransport) -> None:
    server = answering(OK)
    async with server.running() as origin:
        for _ in range(5):
            assert await whole(transport, origin) == b"hello"
        assert server.connections == 1
        await asyncio.gather(*(whole(transport, origin) for _ in range(3)))
        assert server.connections == 3


@pytest.mark.parametrize("kind", ["closed when idle", "closed on request", "reset on request"])
async def test_a_stale_connection_is_replaced(transport: UpstreamTransport, kind: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        if kind == "closed when idle":
            return
        await read_request(reader)
        if kind == "reset on request":
            reset(writer)

    server = Server(handler)
    async with server.running() as origin:
        assert await whole(transport, origin) == b"hello"
        if kind == "closed when idle":
            await asyncio.sleep(0.05)
        assert await whole(transport, origin) == b"hello"
    assert server.connections == 2


async def test_it_is_replaced_once_only(transport: UpstreamTransport) -> None:
    answers = [OK]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            if not answers:
                return
            writer.write(answers.pop())

    server = Server(handler)
    async with server.running() as origin:
        await whole(transport, origin)
        with pytest.raises(httpx.ReadError):
            await whole(transport, origin)
    assert server.connections == 2


async def test_a_request_that_had_a_byte_of_an_answer_is_not_repeated(transport: UpstreamTransport) -> None:
    seen = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        while await read_request(reader):
            seen += 1
            writer.write(OK if seen == 1 else b"HTTP/1.1 2")
            await writer.drain()
            if seen == 2:
                return

    async with Server(handler).running() as origin:
        await whole(transport, origin)
        with pytest.raises(httpx.ReadError):
            await whole(transport, origin)
    assert seen == 2


async def test_an_old_connection_is_not_used(transport: UpstreamTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 0.05)
    server = answering(OK)
    async with server.running() as origin:
        await whole(transport, origin)
        await asyncio.sleep(0.1)
        await whole(transport, origin)
    assert server.connections == 2


async def test_words_between_the_answers_spoil_the_connection(transport: UpstreamTransport) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(OK)
            await asyncio.sleep(0.03)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")

    async with Server(handler).running() as origin:
        for _ in range(3):
            assert await whole(transport, origin) == b"hello"
            await asyncio.sleep(0.06)


async def test_no_more_connections_are_kept_than_allowed(
    transport: UpstreamTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "MAX_IDLE_PER_ORIGIN", 2)
    server = answering(OK, pause=0.02)
    async with server.running() as origin:
        await asyncio.gather(*(whole(transport, origin) for _ in range(5)))
        await asyncio.gather(*(whole(transport, origin) for _ in range(3)))
    assert server.connections == 6


# Leaving early, and slow readers


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer of which there is always more to read; learns of the client's leaving by reading too."""
    await read_request(reader)
    writer.write(CHUNKED + b"5\r\nhello\r\n")
    await reader.read()


async def test_closing_early_tells_the_server_at_once(transport: UpstreamTransport) -> None:
    server = Server(endless)
    async with server.running() as origin:
        body = (await ask(transport, origin)).body
        assert await body.read() == b"hello"
        body.close()
        await asyncio.wait_for(server.left.wait(), 0.1)
        assert await body.read() == b""
        await ask(transport, origin)
    assert server.connections == 2


@pytest.mark.parametrize("is_answering", [False, True], ids=["before the answer", "within a whole answer"])
async def test_cancelling_tells_the_server_at_once(transport: UpstreamTransport, is_answering: bool) -> None:
    server = Server(endless) if is_answering else answering(b"", hold=0)
    async with server.running() as origin:
        task = asyncio.create_task((whole if is_answering else ask)(transport, origin))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait_for(server.left.wait(), 0.1)


async def test_silence_within_a_whole_answer_ends_the_connection(transport: UpstreamTransport) -> None:
    server = Server(endless)
    async with server.running() as origin:
        with pytest.raises(httpx.ReadTimeout):
            await whole(transport, origin, total_timeout=0.1)
        await asyncio.wait_for(server.left.wait(), 0.1)


async def test_a_slow_reader_makes_the_server_wait(transport: UpstreamTransport) -> None:
    total, written = 64 * 2**20, 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while written < total:
            writer.write(b"x" * 2**16)
            await writer.drain()
            written += 2**16

    async with Server(handler).running() as origin:
        body = (await ask(transport, origin)).body
        await asyncio.sleep(0.3)
        # Ours and the kernel's buffers, both sides
        assert written < 16 * 2**20
        assert len(await body.read_all(total)) == total


async def test_an_unread_answer_leaves_its_connection_readable(transport: UpstreamTransport) -> None:
    # Just above the mark at which reading is paused, so that all of it has come and is paused.
    size = connections.HIGH_WATER_BYTES + 1000
    server = answering(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size)
    async with server.running() as origin:
        for _ in range(3):
            body = (await ask(transport, origin, first_byte_timeout=1)).body
            await asyncio.sleep(0.1)
            body.close()
