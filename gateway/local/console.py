"""The supervisor's output: one line at a time, each under the name of the process that wrote it."""

import sys
from collections.abc import Callable

NAME_WIDTH = 8


class Console:
    def __init__(self) -> None:
        # Set by the supervisor: a reader that went away (`bin/run | head`) ends the run like Ctrl-C.
        self.on_closed: Callable[[], None] = lambda: None
        self._is_closed = False

    def line(self, name: str, text: str) -> None:
        self.write(f"{name:<{NAME_WIDTH}} | {text}\n")

    def write(self, text: str) -> None:
        if self._is_closed:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            self._is_closed = True
            self.on_closed()
