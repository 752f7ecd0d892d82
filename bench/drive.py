"""When the load generator sends: as soon as it can (closed loop) or when it is time (open loop)."""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic_ns

from bench.client import Client
from bench.tally import Tally
from bench.ticker import Ticker

CONNECT_AT_ONCE = 100
RECONNECT_AFTER_S = 0.05


@dataclass(frozen=True)
class Target:
    host: str
    port: int
    request: bytes
    stream: bool
    chunks: int | None


class Loop:
    """A set of keep-alive connections. A lost one is opened again, after a pause that bounds how often."""

    by_start = False

    def __init__(self, target: Target, tally: Tally, connections: int) -> None:
        self.target = target
        self.tally = tally
        self.sending = True
        self._connections = connections
        self._clients: set[Client] = set()
        self._reconnecting: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        for done in range(0, self._connections, CONNECT_AT_ONCE):
            some = min(CONNECT_AT_ONCE, self._connections - done)
            await asyncio.gather(*(self._connect() for _ in range(some)))

    def begin(self, first_ns: int) -> None:
        """Start sending at `first_ns`."""
        raise NotImplementedError

    def ready(self, client: Client) -> None:
        """This connection can take a request."""
        raise NotImplementedError

    def stop_sending(self) -> None:
        self.sending = False

    async def finish(self, grace_s: float) -> None:
        """Wait for the answers that are out; what is not there after `grace_s` counts as unfinished."""
        deadline = asyncio.get_running_loop().time() + grace_s
        while any(c.busy for c in self._clients) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for task in self._reconnecting:
            task.cancel()
        for client in list(self._clients):
            if client.busy:
                client.give_up()
            else:
                client.close()

    def _send(self, client: Client, planned_ns: int) -> None:
        client.send(self.target.request, planned_ns, stream=self.target.stream)

    async def _connect(self) -> Client:
        def make() -> Client:
            return Client(self.tally, self.target.chunks, self._done, by_start=self.by_start)

        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(make, self.target.host, self.target.port)
        self._clients.add(client)
        return client

    def _done(self, client: Client) -> None:
        if client.alive:
            self.ready(client)
            return
        self._clients.discard(client)
        if self.sending:
            task = asyncio.get_running_loop().create_task(self._reconnect())
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)

    async def _reconnect(self) -> None:
        while self.sending:
            await asyncio.sleep(RECONNECT_AFTER_S)
            try:
                client = await self._connect()
            except OSError:
                self.tally.errors["refused"] += 1
                continue
            self.ready(client)
            return


class ClosedLoop(Loop):
    """Every connection sends its next request when it has the answer to the last."""

    def begin(self, first_ns: int) -> None:
        for client in list(self._clients):
            self.ready(client)

    def ready(self, client: Client) -> None:
        if self.sending:
            self._send(client, monotonic_ns())


class OpenLoop(Loop):
    """Sends at a constant rate whatever the answers do, `total` times at most; time counts from the planned start.

    With every connection busy the request waits for one, and its waiting counts: no coordinated omission.
    """

    by_start = True

    def __init__(
        self, target: Target, tally: Tally, connections: int, *, rate: float, total: int | None = None
    ) -> None:
        super().__init__(target, tally, connections)
        self._period_ns = round(1e9 / rate)
        self._left = total
        self._idle: deque[Client] = deque()
        self._due: deque[int] = deque()
        self._ticker: Ticker | None = None

    def begin(self, first_ns: int) -> None:
        self._idle.extend(self._clients)
        self._planned = first_ns
        self._ticker = Ticker(first_ns, self._period_ns, self._tick)

    def ready(self, client: Client) -> None:
        if self._due:
            self._send(client, self._due.popleft())
        else:
            self._idle.append(client)

    def stop_sending(self) -> None:
        super().stop_sending()
        if self._ticker:
            self._ticker.close()

    async def finish(self, grace_s: float) -> None:
        await super().finish(grace_s)
        self.tally.errors["not sent"] += len(self._due)
        self.tally.errors = +self.tally.errors

    def _tick(self, passed: int) -> None:
        for _ in range(passed if self._left is None else min(passed, self._left)):
            planned, self._planned = self._planned, self._planned + self._period_ns
            client = self._take_idle()
            if client:
                self._send(client, planned)
            else:
                self._due.append(planned)
        if self._left is not None:
            self._left = max(0, self._left - passed)
            if not self._left and self._ticker:
                self._ticker.close()

    def _take_idle(self) -> Client | None:
        while self._idle:
            client = self._idle.popleft()
            if client.alive:
                return client
        return None
