"""Clients of bench/routing: how Turnpike is asked, and three simple policies that call the providers themselves."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Any

from msgspec import Struct

from bench.figures import Sent
from bench.fleet import Provider

TIMEOUT_S = 30.0
ATTEMPTS = 3
"""Of a simple policy: what fails goes on to its next choice."""
CONTENT = re.compile(rb'"content":\s*"@')
SORTS = ("price", "throughput", "latency")
Chosen = Callable[[dict[str, Provider]], list[str]]
"""Slugs in the order in which they are tried, from the providers of this moment (their prices are public)."""


class Target(Struct, frozen=True):
    port: int
    path: str
    fields: dict[str, Any]
    key: str = "none"


class Outcome(Struct, frozen=True):
    is_complete: bool
    first_token: float | None
    """By the monotonic clock."""
    said: str


def simple_policies(random: Random) -> dict[str, Chosen]:
    turns = count()

    def by_chance(providers: dict[str, Provider]) -> list[str]:
        return random.sample(list(providers), ATTEMPTS)

    def in_turn(providers: dict[str, Provider]) -> list[str]:
        slugs, turn = list(providers), next(turns)
        return [slugs[(turn + place) % len(slugs)] for place in range(ATTEMPTS)]

    def cheapest(providers: dict[str, Provider]) -> list[str]:
        return sorted(providers, key=lambda slug: providers[slug].price)[:ATTEMPTS]

    return {"random": by_chance, "round robin": in_turn, "cheapest first": cheapest}


async def ask(policy: str, user: str, targets: Iterable[Target]) -> Sent:
    """Until one answers, or something of an answer has come."""
    began, clock = time.time(), time.monotonic()
    outcome = Outcome(is_complete=False, first_token=None, said="nobody to ask")
    for target in targets:
        outcome = await attempt(target, user)
        if outcome.is_complete or outcome.first_token is not None:
            break
    wait = outcome.first_token - clock if outcome.first_token is not None else None
    return Sent(user, policy, began, wait, outcome.is_complete, outcome.said)


async def attempt(target: Target, user: str) -> Outcome:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await exchange(target, user)
    except (OSError, TimeoutError) as error:
        return Outcome(is_complete=False, first_token=None, said=type(error).__name__)


async def exchange(target: Target, user: str) -> Outcome:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    received, first = b"", None
    try:
        writer.write(head_and_body(target, user))
        while b"data: [DONE]" not in received and (part := await reader.read(65536)):
            received += part
            if first is None and CONTENT.search(received):
                first = time.monotonic()
            if is_refusal(received):
                break
    except ConnectionError:
        pass
    finally:
        writer.close()
    is_complete = first is not None and b"data: [DONE]" in received and b'"error":' not in received
    return Outcome(is_complete, first, "" if is_complete else received[-300:].decode(errors="replace"))


def head_and_body(target: Target, user: str) -> bytes:
    asked = {
        "model": "bench/fleet",
        "messages": [{"role": "user", "content": "Which way?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": user,
    }
    body = json.dumps(asked | target.fields).encode()
    head = f"POST {target.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {target.key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def is_refusal(received: bytes) -> bool:
    """A whole head that is not of an answer; what follows is short and comes with it."""
    return b"\r\n\r\n" in received and not received.startswith(b"HTTP/1.1 200")
