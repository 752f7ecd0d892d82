"""One 1 ms timer for every open stream."""

import asyncio
from time import monotonic_ns
from typing import Protocol

MS = 1_000_000
SLOTS = 4096


class Due(Protocol):
    def fire(self) -> None: ...


class Wheel:
    """Calls `fire` of what is due. A stream costs an append and a call a chunk: no task, no timer of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: list[list[tuple[int, Due]]] = [[] for _ in range(SLOTS)]
        self._done = 0
        self._waiting = 0

    def add(self, due_ns: int, item: Due) -> None:
        if not self._waiting:
            self._done = monotonic_ns() // MS
            self._loop.call_later(0.001, self._turn)
        # Rounded up, so that nothing fires early; never into a slot that has been passed.
        slot = max(-(-due_ns // MS), self._done + 1)
        self._slots[slot % SLOTS].append((slot, item))
        self._waiting += 1

    def _turn(self) -> None:
        now = monotonic_ns() // MS
        while self._done < now:
            self._done += 1
            index = self._done % SLOTS
            entries = self._slots[index]
            if entries:
                self._slots[index] = []
                self._fire(entries, index)
        if self._waiting:
            self._loop.call_later(0.001, self._turn)

    def _fire(self, entries: list[tuple[int, Due]], index: int) -> None:
        for entry in entries:
            if entry[0] > self._done:  # a later turn of the wheel
                self._slots[index].append(entry)
                continue
            entry[1].fire()
            self._waiting -= 1
