"""What statistics and breakers take of each request: an attempt that begins, answers and ends, over 20 endpoints."""

import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any
from uuid import uuid4

from accounts.callers import Caller
from gateway.generation import Generation, Origin
from gateway.routing.bounds import Size
from gateway.routing.monitor import Monitor
from providers.canonical import Request, Usage
from providers.snapshot import Endpoint

LIMIT_US = 10.0


class Counting:
    """Called once for each request. Generations are made before: they are there without statistics, too."""

    def __init__(self, endpoints: tuple[Endpoint, ...], request: Request, size: Size) -> None:
        self.monitor = Monitor()
        self.endpoints = endpoints
        made = [generation(endpoint, request, size) for endpoint in endpoints]
        self.following: Iterator[Generation] = cycle(made)

    def __call__(self) -> None:
        found = next(self.following)
        endpoint = found.endpoint
        assert endpoint is not None
        self.monitor.enter(endpoint)
        self.monitor.answered(found, endpoint, found.began)
        self.monitor.finished(found, "ok")

    def each_second(self) -> None:
        """What the router reads is made anew, of all endpoints that answered something."""
        for endpoint in self.endpoints:
            self.monitor.statistics.tally(endpoint.id)
        self.monitor.refresh()


def generation(endpoint: Endpoint, request: Request, size: Size) -> Generation:
    values: dict[str, Any] = dict.fromkeys(Caller.__struct_fields__)
    found = Generation(Caller(**values | {"organization_id": uuid4()}), request, Origin(), size)
    found.endpoint = endpoint
    found.began = time.monotonic() - 0.5
    found.usage = Usage(prompt=20, completion=200)
    found.finish_reason = "stop"
    return found
