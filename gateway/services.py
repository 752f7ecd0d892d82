"""What a process keeps between requests."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from accounts.callers import Callers
from billing.till import Till
from gateway.contents import Contents
from gateway.customers import Customers
from gateway.rate_limits import RateLimits
from gateway.routing.monitor import Monitor
from gateway.routing.sessions import Sessions
from gateway.slots import Slots
from providers.http import UpstreamTransport

T = TypeVar("T")


class Services:
    def __init__(self, till: Till) -> None:
        self.till = till
        self.callers = Callers()
        self.http = UpstreamTransport()
        self.monitor = Monitor()
        self.slots = Slots(self.monitor)
        self.customers = Customers()
        self.random = Random()
        self.contents = Contents()
        self.rate_limits: RateLimits | None = None
        self.sessions = Sessions()
        self.running: set[asyncio.Task[Any]] = set()

    def kept_running(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The loop alone would not keep it from being collected."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task
