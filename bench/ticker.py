"""A periodic timer of the kernel's: the loop's own are up to 1 ms late, ten times what a direct request takes."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable

TFD_NONBLOCK, TFD_TIMER_ABSTIME, CLOCK_MONOTONIC = 0o4000, 1, 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # os.timerfd_create is Python 3.13


class Ticker:
    """Calls `tick(n)` as soon as n more periods have passed since `first_ns` (CLOCK_MONOTONIC)."""

    def __init__(self, first_ns: int, period_ns: int, tick: Callable[[int], None]) -> None:
        self._tick = tick
        self._fd: int = _LIBC.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        spec = struct.pack("4q", *divmod(period_ns, 10**9), *divmod(first_ns, 10**9))
        if self._fd < 0 or _LIBC.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, spec, None):
            raise OSError(ctypes.get_errno(), "timerfd")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        try:
            (passed,) = struct.unpack("q", os.read(self._fd, 8))
        except BlockingIOError:
            return
        self._tick(passed)
