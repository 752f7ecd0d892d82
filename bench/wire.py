"""What the mock upstream answers: a plan read from the model's name, and the bytes made from it."""

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache

DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"
SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 429: b"Too Many Requests"}


@dataclass(frozen=True)
class Plan:
    """How one request is answered. Times in milliseconds; `None` is "never"."""

    delay: int = 0
    chunks: int = 16
    every: int = 0
    burst: int = 8
    size: int = 0
    tokens: int | None = None
    prompt: int = 12
    status: int = 200
    drop: int | None = None
    stall: int | None = None


OPTIONS = ("delay", "chunks", "every", "burst", "size", "tokens", "prompt", "status", "drop", "stall")
_OPTION = re.compile(rf"(?:^|-)({'|'.join(OPTIONS)})(\d+)(?=-|$)")


@lru_cache(4096)
def read_plan(base: Plan, *names: str) -> Plan:
    """`mock-delay20-chunks50` → the base plan with a delay of 20 ms and 50 chunks; later names win."""
    found = {option: int(value) for name in names for option, value in _OPTION.findall(name)}
    return replace(base, **found)


def stamp(sequence: int, planned_ns: int, size: int = 0) -> bytes:
    """The content of a chunk: its number and the CLOCK_MONOTONIC time it was due, for the receiver to compare."""
    return b"@%d@%d@" % (sequence, planned_ns) + b"x" * size


@lru_cache(4096)
def stream_parts(model: str, size: int) -> tuple[bytes, bytes]:
    """What stands between the id and the stamp of a content chunk, and what stands behind it."""
    before = (
        b'","object":"chat.completion.chunk","created":1700000000,"model":%b,"choices":[{"index":0,"delta":{"content":"'
    )
    return before % json.dumps(model).encode(), b"x" * size + b'"},"finish_reason":null}]}\n\n'


def frame(event: bytes) -> bytes:
    """One chunk of HTTP's chunked encoding."""
    return b"%x\r\n%b\r\n" % (len(event), event)


def role_event(answer_id: bytes, model: str) -> bytes:
    return _event(
        answer_id, model, [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    )


def last_events(answer_id: bytes, model: str, reason: str, usage: tuple[int, int] | None) -> bytes:
    """The finish chunk, the usage chunk if it was asked for, and the end of stream and body."""
    finish = frame(_event(answer_id, model, [{"index": 0, "delta": {}, "finish_reason": reason}]))
    counted = frame(_event(answer_id, model, [], usage)) if usage else b""
    return finish + counted + frame(DONE) + END


def plain_answer(answer_id: bytes, model: str, content: bytes, reason: str, usage: tuple[int, int]) -> bytes:
    body = (
        b'{"id":"%b","object":"chat.completion","created":1700000000,"model":%b,"choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"%b"},"logprobs":null,"finish_reason":"%b"}],"usage":%b}'
    ) % (answer_id, json.dumps(model).encode(), content, reason.encode(), _usage(usage))
    return http_answer(200, body)


def error_answer(status: int) -> bytes:
    error = {"message": f"mock error {status}", "type": "mock_error", "code": status}
    return http_answer(status, json.dumps({"error": error}).encode())


def http_answer(status: int, body: bytes) -> bytes:
    head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, REASONS.get(status, b"Error"), len(body)) + body


def _event(answer_id: bytes, model: str, choices: list[object], usage: tuple[int, int] | None = None) -> bytes:
    body = b'data: {"id":"%b","object":"chat.completion.chunk","created":1700000000,"model":%b,"choices":%b'
    head = body % (answer_id, json.dumps(model).encode(), json.dumps(choices, separators=(",", ":")).encode())
    return head + (b',"usage":%b}\n\n' % _usage(usage) if usage else b"}\n\n")


def _usage(usage: tuple[int, int]) -> bytes:
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (*usage, sum(usage))
