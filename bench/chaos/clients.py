"""The clients: so many requests at once over several gateways, and a line in a log for what came of each.

A process of its own that shares no code with the gateway, told what to do by a JSON file.
"""

import argparse
import asyncio
import json
import random
import re
import time
import uuid
from pathlib import Path
from typing import Any

TIMEOUT_S = 90
COST = re.compile(rb'"cost":\s*([0-9.e-]+)')
ID = re.compile(rb"x-generation-id: (\S+)", re.IGNORECASE)
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


async def client(told: dict[str, Any], log: Any, chance: random.Random) -> None:
    while time.time() < told["until"]:
        line = await one_request(told, chance)
        log.write(json.dumps(line) + "\n")
        if line["status"] != 200:
            await asyncio.sleep(chance.random())


async def one_request(told: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    stream = chance.random() < 0.6
    user = str(uuid.uuid4())
    line: dict[str, Any] = {"user": user, "stream": stream, "status": 0, "is_complete": False, "began": time.time()}
    body: dict[str, Any] = {
        "model": "chaos/stream" if stream else "chaos/plain",
        "messages": [{"role": "user", "content": "Tell me."}],
        "stream": stream,
        "user": user,
    }
    if chance.random() < 0.5:
        body["max_tokens"] = 2000
    try:
        async with asyncio.timeout(TIMEOUT_S):
            received = await exchange(chance.choice(told["ports"]), chance.choice(told["keys"]), body)
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return line | {"failure": type(error).__name__}
    return line | read(received, stream=stream) | {"ended": time.time()}


async def exchange(port: int, key: str, body: dict[str, Any]) -> bytes:
    """All that came before the connection ended, however it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    payload = json.dumps(body).encode()
    head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: chaos\r\nAuthorization: Bearer {key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    received = b""
    try:
        writer.write(head.encode() + payload)
        while part := await reader.read(65536):
            received += part
    except ConnectionError:
        pass
    finally:
        writer.close()
    return received


def read(received: bytes, *, stream: bool) -> dict[str, Any]:
    """Complete is what a client would take for the whole answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head.count(b" ") >= 2 else 0
    found: dict[str, Any] = {"status": status}
    if match := ID.search(head):
        found["id"] = match[1].decode()
    if status != 200:
        return found | {"body": body[:200].decode(errors="replace")}
    if stream:
        found["is_complete"] = b"data: [DONE]" in body and b'"error":' not in body
    else:
        length = LENGTH.search(head)
        found["is_complete"] = length is not None and len(body) == int(length[1])
    if match := COST.search(body):
        found["cost"] = float(match[1])
    return found


async def run(told: dict[str, Any], log: Path) -> None:
    with log.open("a", buffering=1) as file:
        await asyncio.gather(*(client(told, file, random.Random(seed)) for seed in range(told["at_once"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("told", type=Path)
    parser.add_argument("log", type=Path)
    options = parser.parse_args()
    asyncio.run(run(json.loads(options.told.read_text()), options.log))


if __name__ == "__main__":
    main()
