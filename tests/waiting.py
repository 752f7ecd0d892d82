"""For what comes a moment later."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")
PAUSE_S = 0.02


def until(holds: Callable[[], T | Literal[False] | None], seconds: float = 15, what: str = "") -> T:
    """What it gives as soon as that is something. Fails when it is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s {what}"
        time.sleep(PAUSE_S)
    return found
