"""Vendors over real sockets: one process that answers each wire's paths with its recorded payloads.

The upstream model's name is the story: a payload to answer with, `overloaded` (status 503) or `stalled` (a stream that
begins and waits until its reader leaves). `http://…/<wire>` is the vendor's base URL, `/control/seen` what was asked.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.providers import frames
from tests.upstream import departure, read_request, write_json, write_part

PAYLOADS = Path(__file__).parent.parent / "providers" / "payloads"
SUFFIX = {"bedrock": ("frames", "application/vnd.amazon.eventstream")}
SSE = ("sse", "text/event-stream")


class Vendors:
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                _, path, headers, body = request
                if path == "/control/seen":
                    await write_json(writer, 200, self.seen)
                else:
                    await self.answer(path, headers, json.loads(body), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(
        self,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        wire, story = path.split("/")[1], story_of(path, body)
        seen = {"wire": wire, "story": story, "body": body, "headers": headers, "has_left": False}
        self.seen.append(seen)
        if story == "overloaded":
            error = (PAYLOADS / wire / "error_overloaded.json").read_text()
            await write_json(writer, 503, error)
        elif body.get("stream") or "stream" in path:
            await self.stream(wire, story, seen, reader, writer)
        else:
            await write_json(writer, 200, (PAYLOADS / wire / f"{story}.json").read_text())

    async def stream(
        self,
        wire: str,
        story: str,
        seen: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        suffix, kind = SUFFIX.get(wire, SSE)
        data = (PAYLOADS / wire / f"{'plain' if story == 'stalled' else story}.{suffix}").read_bytes()
        data = frames.encode(data) if suffix == "frames" else data
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        if story == "stalled":
            write_part(writer, beginning(data, suffix))
            await departure(reader)
            seen["has_left"] = True
            raise ConnectionResetError
        # In pieces that are no events.
        for place in range(0, len(data), 150):
            write_part(writer, data[place : place + 150])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def beginning(data: bytes, suffix: str) -> bytes:
    """Up to the end of the event that says "Ro"."""
    place = data.index(b'"Ro"')
    if suffix != "frames":
        return data[: data.index(b"\n\n", place) + 2]
    # A frame ends with its checksum behind the payload.
    return data[: data.index(b'"}', data.index(b'"p"', place)) + 2 + 4]


def story_of(path: str, body: dict[str, Any]) -> str:
    """Some wires name the model in the path."""
    if "model" in body:
        return str(body["model"])
    words = path.partition("?")[0].split("/")
    name = words[-2] if words[-1].startswith("converse") else words[-1]
    return name.partition(":")[0]


class Running:
    """The test's side."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def seen(self, wire: str, story: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/control/seen", timeout=10) as answer:
            return [one for one in json.load(answer) if (one["wire"], one["story"]) == (wire, story)]


@contextmanager
def running() -> Iterator[Running]:
    process = subprocess.Popen([sys.executable, "-m", "tests.compatibility.vendors"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Running(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


async def run(port: int) -> None:
    server = await asyncio.start_server(Vendors().serve, "127.0.0.1", port, limit=64 * 2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(run(parser.parse_args().port))
