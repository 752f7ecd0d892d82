"""One keep-alive connection of the load generator."""

import asyncio
import re
from collections.abc import Callable
from time import monotonic_ns
from typing import cast

import httptools

from bench.tally import Tally

STAMP = re.compile(rb"@(\d+)@(\d+)@")
USAGE = re.compile(
    rb'"prompt_tokens":\s*(\d+),\s*"completion_tokens":\s*(\d+)|"input_tokens":\s*(\d+),.*?"output_tokens":\s*(\d+)'
)
# From here on a stream of Responses tells its text again.
AGAIN = b"event: response.output_text.done"


class Client(asyncio.Protocol):
    """Sends a request at a time, checks that the answer is whole, and tells the tally.

    `done` is called after every answer and when the connection is lost; look at `alive`.
    """

    def __init__(self, tally: Tally, chunks: int | None, done: Callable[["Client"], None], *, by_start: bool) -> None:
        self.alive = False
        self.busy = False
        self._tally = tally
        self._expected = chunks
        self._done = done
        self._by_start = by_start
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, planned_ns: int, *, stream: bool) -> None:
        self.busy = True
        self._planned = planned_ns
        self._stream = stream
        self._pieces: list[bytes] = []
        self._rest = b""
        self._next = 0
        self._complete = False
        self._ended = self._again = False
        self._flaw = ""
        self._usage: tuple[int, int] | None = None
        self._tally.sent += 1
        self._transport.write(request)

    def close(self) -> None:
        self._transport.abort()

    def give_up(self) -> None:
        """The run is over and this answer is not."""
        self._fail("unfinished")
        self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.alive = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if self.busy:
            self._fail("connection lost")
        self._done(self)

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("not HTTP")
            self.close()
            return
        if self._pieces:
            self._read_body()
        if self._complete:
            self._finish()

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = True
        self._keep = self._parser.should_keep_alive()  # known here only

    def _read_body(self) -> None:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._stream and self._parser.get_status_code() == 200:
            pieces.clear()
            if self._rest or not data.endswith(b"\n\n"):  # an event is split over reads
                data = self._rest + data
                whole = data.rfind(b"\n\n") + 2
                self._rest = data[whole:] if whole > 1 else data
                data = data[:whole] if whole > 1 else b""
            self._read_events(data)
        elif self._complete:
            self._read_usage(data)

    def _read_events(self, events: bytes) -> None:
        now = monotonic_ns()
        cut = 0 if self._again else events.find(AGAIN)
        self._again = cut >= 0
        stamps = STAMP.findall(events if cut < 0 else events[:cut])
        if stamps:
            if not self._next:
                self._tally.first(self._planned, now)
            last = self._next + len(stamps)
            if int(stamps[-1][0]) != last - 1 or (len(stamps) > 1 and int(stamps[0][0]) != self._next):
                self._tally.disordered += 1
            self._next = last
            self._tally.chunk_run(stamps, now)
        if len(stamps) != events.count(b"\n\n"):
            self._read_other(events)

    def _read_other(self, events: bytes) -> None:
        """Events without content are among them."""
        if b'"error":{' in events or b'"error": {' in events:
            self._flaw = "error chunk"
        if b'"completion_tokens"' in events or b'"output_tokens"' in events:
            self._read_usage(events)
        if b"data: [DONE]" in events or b"event: message_stop" in events:
            self._ended = True

    def _read_usage(self, data: bytes) -> None:
        found = USAGE.search(data)
        if found:
            self._usage = int(found[1] or found[3]), int(found[2] or found[4])

    def _finish(self) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            self._fail(str(status))
        elif self._flaw:
            self._fail(self._flaw)
        elif self._stream and not self._ended:
            self._fail("no [DONE]")
        elif self._usage is None:
            self._fail("no usage")
        else:
            self._succeed(self._usage)
        if self._keep:
            self._done(self)
        else:
            self.close()

    def _succeed(self, usage: tuple[int, int]) -> None:
        self._tally.prompt_tokens += usage[0]
        self._tally.completion_tokens += usage[1]
        self._tally.answer(self._planned, monotonic_ns(), by_start=self._by_start)
        self._over()

    def _fail(self, reason: str) -> None:
        self._tally.errors[reason] += 1
        self._over()

    def _over(self) -> None:
        self.busy = False
        if self._stream and self._expected:
            self._tally.chunks_expected += self._expected
