"""`bench/plan`: what routing takes of one request over 20 endpoints, in microseconds; see bench/README.md."""

import argparse
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import uuid4

from bench.counting import LIMIT_US as counting_limit
from bench.counting import Counting
from gateway import parse
from gateway.routing.bounds import Size, size
from gateway.routing.live import EndpointView, Percentiles
from gateway.routing.plan import plan
from providers.canonical import Request
from providers.pricing import Price
from providers.snapshot import Endpoint, Model, Provider, Snapshot

ENDPOINTS = 20
LIMIT_US = 50.0
CALLS = 100
PARAMETERS = frozenset({"tools", "tool_choice", "temperature", "max_tokens", "seed", "response_format"})
REQUESTS: dict[str, dict[str, Any]] = {
    "default": {},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}], "max_tokens": 200, "temperature": 1},
    "sort": {"provider": {"sort": "latency"}},
    "order": {"provider": {"order": ["p7", "p3"]}},
    "filters": {"provider": {"ignore": ["p3"], "max_price": {"prompt": 5}, "preferred_max_latency": 2}},
}


# Figures of every endpoint, as a process that serves traffic has them.
SEEN = EndpointView(
    latency=Percentiles(300, 400, 500, 900), throughput=Percentiles(80, 70, 60, 40), mean_completion=220
)


def main() -> int:
    options = arguments()
    endpoints = tuple(endpoint(number) for number in range(ENDPOINTS))
    values: dict[str, Any] = dict.fromkeys(Model.__struct_fields__)
    model = Model(**values | {"slug": "acme/m", "endpoints": endpoints})
    snapshot = Snapshot(providers={}, models={"acme/m": model})
    views, random = {one.id.int: SEEN for one in endpoints}, Random(1)
    found = {}
    for name, fields in REQUESTS.items():
        request, length = read(fields)

        def once(request: Request = request, length: Size = length) -> None:
            plan(request, snapshot, length, random, views=views)

        found[name] = measured(once, options.rounds)
        print(f"{name:<10} {found[name]:6.1f} µs to plan {ENDPOINTS} endpoints")
    request, length = read({"stream": True})
    counting = Counting(endpoints, request, length)
    found["counting"] = measured(counting, options.rounds)
    print(f"counting   {found['counting']:6.1f} µs for statistics and breaker")
    found["each second"] = measured(counting.each_second, options.rounds, calls=5)
    print(f"refresh    {found['each second']:6.1f} µs each second, for what is known of {ENDPOINTS} endpoints")
    if options.json:
        print(json.dumps(found))
    return 0 if found["default"] <= LIMIT_US and found["counting"] <= counting_limit else 1


def measured(call: Callable[[], None], rounds: int, calls: int = CALLS) -> float:
    """The best of rounds of many calls, by CPU time: what others do on the machine is not the router's."""
    for _ in range(calls):
        call()
    times = []
    for _ in range(rounds):
        began = time.process_time_ns()
        for _ in range(calls):
            call()
        times.append((time.process_time_ns() - began) / calls / 1000)
    return min(times)


def read(fields: dict[str, Any]) -> tuple[Request, Size]:
    body = {"model": "acme/m", "messages": [{"role": "user", "content": "What is a turnpike?"}], **fields}
    request = parse.chat(json.dumps(body).encode())
    return request, size(request)


def endpoint(number: int) -> Endpoint:
    values: dict[str, Any] = dict.fromkeys(Provider.__struct_fields__)
    slug = f"p{number}"
    return Endpoint(
        id=uuid4(),
        tag=slug,
        model="acme/m",
        provider=Provider(**values | {"slug": slug, "name": slug.title(), "is_on": True}),
        upstream_model="m",
        context_length=131_072,
        max_prompt_tokens=None,
        max_completion_tokens=16_384,
        quantization="fp8",
        supported_parameters=PARAMETERS,
        first_token_timeout_s=None,
        price=Price(number, 100_000 + 10_000 * number, 400_000 + 30_000 * number),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()
