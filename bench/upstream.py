"""A mock OpenAI-compatible upstream, written to cost less than what is measured with it. See bench/README.md."""

import argparse
import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop

from bench import wire
from bench.answer import LOG_LINES_HELD, Answer, ChatRequest, Mock
from bench.machine import raise_file_limit
from bench.wire import Plan

DECODE = msgspec.json.Decoder(ChatRequest).decode


class Client(asyncio.Protocol):
    """One keep-alive connection; a request at a time."""

    write: Callable[[bytes], None]  # the transport's own: one call less for each chunk

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self.paused = False
        self._parser = httptools.HttpRequestParser(self)
        self._answer: Answer | None = None
        self._path = b""
        self._options = ""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.hang_up()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self._answer is not None and not self._answer.plan.every:
            self._mock.loop.call_soon(self._answer.fire)

    def answered(self, *, close: bool) -> None:
        self._answer = None
        if close:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._body = b""
        self._options = ""

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 6 and name.lower() == b"x-mock":
            self._options = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        if self._path.endswith(b"/chat/completions"):
            self._chat()
        elif self._path.endswith(b"/models"):
            listed = {"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "mock"}]}
            self.write(wire.http_answer(200, json.dumps(listed).encode()))
        elif self._path == b"/stats":
            self.write(wire.http_answer(200, json.dumps(self._mock.stats()).encode()))
        else:
            self.write(wire.error_answer(404))

    def _chat(self) -> None:
        try:
            request = DECODE(self._body)
        except msgspec.DecodeError:
            self.write(wire.error_answer(400))
            return
        self._answer = Answer(self._mock, self, request, self._options)
        self._answer.start()


async def serve(base: Plan, port: int, log: Path | None, held: int) -> None:
    loop = asyncio.get_running_loop()
    mock = Mock(base, loop, log, held)
    server = await loop.create_server(lambda: Client(mock), "127.0.0.1", port, backlog=4096)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()
    mock.write_log()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9101, help="0 picks a free one; the first line printed names it")
    parser.add_argument("--log", type=Path, help="append a JSON line for each answer")
    parser.add_argument("--held", type=int, default=LOG_LINES_HELD, help="lines of the log that are written together")
    for field in fields(Plan):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    options = vars(parser.parse_args())
    port, log, held = options.pop("port"), options.pop("log"), options.pop("held")
    raise_file_limit()
    uvloop.run(serve(Plan(**options), port, log, held))


if __name__ == "__main__":
    main()
