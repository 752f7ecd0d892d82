"""One request that the mock upstream is answering."""

import asyncio
import json
from collections import Counter
from itertools import count
from pathlib import Path
from time import monotonic_ns, time
from typing import Any, Protocol

import msgspec

from bench import wire
from bench.wheel import MS, Wheel
from bench.wire import Plan

LOG_LINES_HELD = 1000


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatRequest(msgspec.Struct):
    model: str = "mock"
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    user: str | None = None


class Connection(Protocol):
    """What an answer needs of the connection that asked."""

    paused: bool

    def write(self, data: bytes) -> None: ...
    def answered(self, *, close: bool) -> None: ...


class Mock:
    """What all connections share: the base plan, the wheel, and the account of what was served."""

    def __init__(
        self, base: Plan, loop: asyncio.AbstractEventLoop, log: Path | None = None, held: int = LOG_LINES_HELD
    ) -> None:
        self.base = base
        self.loop = loop
        self.wheel = Wheel(loop)
        self.numbers = count(1)
        self.totals: Counter[str] = Counter()
        self.by_status: Counter[int] = Counter()
        self.by_model: Counter[str] = Counter()
        self.open = 0
        self._log = log
        self._held = held
        self._lines: list[str] = []

    def record(self, answer: "Answer", outcome: str) -> None:
        """One answer is over. `outcome`: complete, error, dropped, or hangup (the client left first)."""
        self.open -= 1
        self.totals.update((outcome,))
        self.totals["chunks"] += answer.sent
        if outcome == "complete":
            self.totals["prompt_tokens"] += answer.usage[0]
            self.totals["completion_tokens"] += answer.usage[1]
        self.by_status[answer.plan.status] += 1
        self.by_model[answer.model] += 1
        if self._log is not None:
            self._lines.append(json.dumps(answer.line(outcome)))
            if len(self._lines) >= self._held:
                self.write_log()

    def write_log(self) -> None:
        if self._log is not None and self._lines:
            with self._log.open("a") as file:
                file.write("\n".join(self._lines) + "\n")
            self._lines.clear()

    def stats(self) -> dict[str, Any]:
        self.write_log()
        return {
            "requests": sum(self.by_status.values()),
            "open": self.open,
            **{name: self.totals[name] for name in ("complete", "error", "dropped", "hangup", "chunks")},
            "prompt_tokens": self.totals["prompt_tokens"],
            "completion_tokens": self.totals["completion_tokens"],
            "by_status": self.by_status,
            "by_model": self.by_model,
        }


class Answer:
    """One request being answered. `fire` is called by the wheel when the next bytes are due."""

    def __init__(self, mock: Mock, client: Connection, request: ChatRequest, options: str) -> None:
        self._mock = mock
        self._client = client
        self.id = b"chatcmpl-mock-%d" % next(mock.numbers)
        self.model = request.model
        self.plan = plan = wire.read_plan(mock.base, request.model, options)
        self._stream = request.stream
        self._counted = request.stream_options is not None and request.stream_options.include_usage
        wanted = plan.chunks if plan.tokens is None else plan.tokens
        limit = request.max_completion_tokens or request.max_tokens or wanted
        self.usage = plan.prompt, min(wanted, limit)
        self._reason = "length" if limit < wanted else "stop"
        self._chunks = min(plan.chunks, limit)
        # The last chunk that goes out: a drop or a stall comes before the natural end.
        self._last_at = min(self._chunks, *(n for n in (plan.drop, plan.stall, self._chunks) if n is not None))
        self.sent = 0
        self.content_bytes = 0
        self.user = request.user
        self.over = False
        self._due = monotonic_ns() + plan.delay * MS
        mock.open += 1

    def start(self) -> None:
        if self.plan.delay:
            self._mock.wheel.add(self._due, self)
        else:
            self.fire()

    def fire(self) -> None:
        if self.over:
            return
        if self.plan.status != 200:
            self._end("error", wire.error_answer(self.plan.status))
        elif not self._stream:
            self._fire_plain()
        elif self.sent == 0:
            self._open_stream()
        elif self.plan.every:
            self._fire_timed(b"")
        else:
            self._fire_burst(b"")

    def hang_up(self) -> None:
        """The client left before the end."""
        if not self.over:
            self.over = True
            self._mock.record(self, "hangup")

    def line(self, outcome: str) -> dict[str, Any]:
        return {
            "at": round(time(), 3),
            "id": self.id.decode(),
            "model": self.model,
            "stream": self._stream,
            "status": self.plan.status,
            "outcome": outcome,
            "chunks": self.sent,
            "content_bytes": self.content_bytes,
            "user": self.user,
            "prompt_tokens": self.usage[0],
            "completion_tokens": self.usage[1] if outcome == "complete" else self.sent,
        }

    def _fire_plain(self) -> None:
        if self.plan.stall is not None:
            return
        content = wire.stamp(0, self._due, self.plan.size)
        data = wire.plain_answer(self.id, self.model, content, self._reason, self.usage)
        if self.plan.drop is None:
            self._end("complete", data)
        else:  # drop0 closes before the first byte, drop<n> in the middle of the body
            self._end("dropped", data[: -len(data) // 4] if self.plan.drop else b"")

    def _open_stream(self) -> None:
        if self._last_at == 0:
            self._finish(b"")
            return
        self._before, self._after = wire.stream_parts(self.model, self.plan.size)
        self._before = b'data: {"id":"' + self.id + self._before
        self._fixed = len(self._before) + len(self._after)
        head = wire.SSE_HEAD + wire.frame(wire.role_event(self.id, self.model))
        if self.plan.every:
            self._fire_timed(head)
        else:
            self._fire_burst(head)

    def _fire_timed(self, head: bytes) -> None:
        """Every chunk that is due by now, in one write: a late turn sends them together."""
        now = monotonic_ns()
        due, every = self._due, self.plan.every * MS
        data = head + self._chunk(due)
        due += every
        while due <= now and self.sent < self._last_at:
            data += self._chunk(due)
            due += every
        self._due = due
        if self.sent < self._last_at:
            self._client.write(data)
            self._mock.wheel.add(due, self)
        else:
            self._finish(data)

    def _fire_burst(self, head: bytes) -> None:
        """A burst for each turn of the loop, for as long as the client's socket takes it."""
        now = monotonic_ns()
        burst = min(self.plan.burst, self._last_at - self.sent)
        data = head + b"".join([self._chunk(now) for _ in range(burst)])
        if self.sent >= self._last_at:
            self._finish(data)
            return
        self._client.write(data)
        if not self._client.paused:  # otherwise the client's resume_writing goes on
            self._mock.loop.call_soon(self.fire)

    def _chunk(self, planned_ns: int) -> bytes:
        content = b"@%d@%d@" % (self.sent, planned_ns)
        self.sent += 1
        self.content_bytes += len(content) + self.plan.size
        return b"%x\r\n%b%b%b\r\n" % (self._fixed + len(content), self._before, content, self._after)

    def _finish(self, data: bytes) -> None:
        if self.plan.stall is not None and self.plan.stall <= self._chunks:
            self._client.write(data)
        elif self.plan.drop is not None and self.plan.drop <= self._chunks:
            self._end("dropped", data)
        else:
            usage = self.usage if self._counted else None
            self._end("complete", data + wire.last_events(self.id, self.model, self._reason, usage))

    def _end(self, outcome: str, data: bytes) -> None:
        self.over = True
        # The witness first: an answer that went out is in the log, whoever is killed when.
        self._mock.record(self, outcome)
        self._client.write(data)
        self._client.answered(close=outcome == "dropped")
