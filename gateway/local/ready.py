"""Asking a server whether it is ready."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable

POLL_S = 0.1
# Not through the proxy that the environment may name: these servers are on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    try:
        with _opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def wait_until(is_ready: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await asyncio.to_thread(is_ready):
            return True
        await asyncio.sleep(POLL_S)
    return False
