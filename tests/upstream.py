"""A provider that plays what a test tells it: its own process, real sockets, OpenAI's wire.

A model's script is a list of steps, played for each request for that model:
  {"reply": {…}}, {"status": 429, "headers": {…}, "reply": {…}}   a JSON answer
  {"chunk": {…}}   an SSE event; {"raw": "…"} bytes as they are; {"done": true} the [DONE] event
  {"sleep": 0.5}, {"stall": true}   wait; wait until the client leaves
  {"gate": "a name"}   wait until the test opens it, or the client leaves
  {"drop": true}   cut the connection
A model without a script answers ANSWER, streamed when asked.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ANSWER = "Hello from upstream"
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}

Step = dict[str, Any]


def text_reply(text: str = ANSWER, *, usage: dict[str, Any] | None = USAGE, finish: str = "stop") -> Step:
    message = {"role": "assistant", "content": text}
    reply: dict[str, Any] = {"id": "up-1", "object": "chat.completion", "created": 1, "model": "m"}
    reply["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"reply": reply | ({"usage": usage} if usage else {})}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> Step:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"chunk": {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "choices": [choice], **more}}


def text_stream(text: str = ANSWER, *, usage: dict[str, Any] | None = USAGE) -> list[Step]:
    words = [chunk({"content": word}) for word in text.split(" ")]
    last = [{"chunk": {"id": "up-1", "choices": [], "usage": usage}}] if usage else []
    return [chunk({"role": "assistant", "content": ""}), *words, chunk({}, "stop"), *last, {"done": True}]


def failure(status: int, message: str = "it broke", **headers: str) -> list[Step]:
    return [{"status": status, "headers": headers, "reply": {"error": {"message": message, "code": "broken"}}}]


class Player:
    def __init__(self) -> None:
        self.scripts: dict[str, list[Step]] = {}
        self.seen: list[dict[str, Any]] = []
        self.opened: set[str] = set()
        # Requests at once, by model, and the most there were. Who has left is not counted, seen or not.
        self.busy: defaultdict[str, set[asyncio.StreamReader]] = defaultdict(set)
        self.peak: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                method, path, headers, body = request
                if path.startswith("/control/"):
                    answer = self.control(path.removeprefix("/control/"), body)
                    await write_json(writer, 200, answer)
                else:
                    await self.play(method, path, headers, body, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def control(self, verb: str, body: bytes) -> Any:
        if verb == "script":
            told = json.loads(body)
            self.scripts[told["model"]] = told["steps"]
            return {}
        if verb == "reset":
            self.scripts.clear()
            self.seen.clear()
            self.opened.clear()
            self.peak.clear()
            return {}
        if verb == "open":
            self.opened.add(json.loads(body)["gate"])
            return {}
        if verb == "peak":
            return self.peak
        return self.seen

    async def play(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if method == "GET":
            # A probe of the models list.
            await write_json(writer, 200, {"object": "list", "data": []})
            return
        told = json.loads(body)
        seen = {"path": path, "headers": headers, "body": told, "left_after": None, "began": time.time()}
        self.seen.append(seen)
        default = text_stream() if told.get("stream") else [text_reply()]
        steps = self.scripts.get(told["model"], default)
        gone = asyncio.create_task(departure(reader))
        busy = self.busy[told["model"]]
        busy.add(reader)
        self.peak[told["model"]] = max(self.peak[told["model"]], sum(not has_left(one) for one in busy))
        try:
            if any("reply" in step for step in steps):
                await self.reply(steps, gone, writer)
            else:
                await self.stream(steps, gone, writer)
        except ConnectionError:
            pass
        finally:
            busy.discard(reader)
        if gone.done():
            seen["left_after"] = time.time() - seen["began"]
            seen["left_at"] = time.time()
            raise ConnectionResetError
        gone.cancel()

    async def reply(self, steps: list[Step], gone: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        for step in steps:
            if "reply" in step:
                await write_json(writer, step.get("status", 200), step["reply"], step.get("headers", {}))
            else:
                await self.step(step, gone, writer)

    async def stream(self, steps: list[Step], gone: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        is_begun = False
        for step in steps:
            if not is_begun and not {"sleep", "stall", "gate", "drop"} & step.keys():
                is_begun = True
                writer.write(head)
            await self.step(step, gone, writer)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def step(self, step: Step, gone: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        if gone.done():
            raise ConnectionResetError
        if "chunk" in step:
            write_part(writer, f"data: {json.dumps(step['chunk'])}\n\n".encode())
        elif "raw" in step:
            write_part(writer, step["raw"].encode())
        elif "done" in step:
            write_part(writer, b"data: [DONE]\n\n")
        elif "sleep" in step:
            await asyncio.wait([gone], timeout=step["sleep"])
        elif "stall" in step:
            await gone
        elif "gate" in step:
            while step["gate"] not in self.opened and not gone.done():
                await asyncio.sleep(0.02)
        elif "drop" in step:
            writer.transport.abort()
            raise ConnectionResetError
        await writer.drain()


async def departure(reader: asyncio.StreamReader) -> None:
    """Returns when the client has left. Polls, as a read would take the first byte of its next request."""
    while not has_left(reader):
        await asyncio.sleep(0.005)


def has_left(reader: asyncio.StreamReader) -> bool:
    return reader.at_eof() or reader.exception() is not None


def write_part(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def write_json(
    writer: asyncio.StreamWriter, status: int, body: Any, headers: dict[str, str] | None = None
) -> None:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json", f"content-length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return method, path, headers, body


async def run(port: int) -> None:
    player = Player()
    server = await asyncio.start_server(player.serve, "127.0.0.1", port, limit=64 * 2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Upstream:
    """The test's side of one upstream process."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"

    def script(self, model: str, steps: list[Step]) -> None:
        self._control("script", {"model": model, "steps": steps})

    def open(self, gate: str) -> None:
        self._control("open", {"gate": gate})

    def reset(self) -> None:
        self._control("reset", {})

    def seen(self, model: str | None = None) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = self._control("seen", {})
        return [request for request in requests if model in (None, request["body"]["model"])]

    def peak(self, model: str) -> int:
        """The most requests at once since the last reset."""
        return int(self._control("peak", {}).get(model, 0))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _control(self, verb: str, body: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}/control/{verb}"
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running(port: int = 0) -> Iterator[Upstream]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.upstream", "--port", str(port)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield Upstream(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(run(parser.parse_args().port))
