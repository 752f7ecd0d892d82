"""One supervised process: started again when it ends, its output shown line by line."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from gateway.local.console import Console
from gateway.local.places import Problem
from gateway.local.process import Command

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
# Who ran this long had not been failing at its start.
STEADY_S = 30.0


class Child:
    def __init__(self, name: str, make: Callable[[], Command], console: Console, changed: Callable[[], None]) -> None:
        """`make` runs before each start, in a thread; `changed` is called when there is a new process id."""
        self.name = name
        self._make = make
        self._console = console
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._command: Command | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.is_alive() and self._process else None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Returns when the process exists; what it is good for is asked of itself."""
        self._task = asyncio.create_task(self._keep_running(), name=self.name)
        started = asyncio.create_task(self._started.wait())
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._task.done():
            await self._task

    async def stop(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Asks, waits until it ends, `grace_s` are over or `hurry` is set, then kills."""
        self._stopping.set()
        if self._task is None:
            return
        if self._process and self._command and self.is_alive():
            self._process.send_signal(self._command.stop_signal)
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({self._task, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if self._process and self.is_alive():
            self._console.line("run", f"{self.name} is killed: it did not end in {grace_s:g} s")
            self._process.kill()
        with contextlib.suppress(Problem):
            await self._task

    async def _keep_running(self) -> None:
        delay = FIRST_DELAY_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun > STEADY_S:
                delay = FIRST_DELAY_S
            self._console.line("run", f"{self.name} {ending(code)}; it starts again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def _run_once(self) -> int:
        self._command = await asyncio.to_thread(self._make)
        if self._stopping.is_set():
            return 0
        self._process = process = await spawn(self._command, stderr=asyncio.subprocess.STDOUT)
        self._started.set()
        self._changed()
        assert process.stdout is not None
        output = asyncio.create_task(show(process.stdout, self.name, self._console))
        code = await process.wait()
        # Something that the process left behind may hold its output open.
        await asyncio.wait({output}, timeout=1)
        output.cancel()
        return code


async def run_to_end(command: Command, console: Console) -> Any:
    """Shows what the command says on stderr and returns the JSON on its stdout. Raises Problem when it fails."""
    process = await spawn(command, stderr=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        output, _ = await asyncio.gather(process.stdout.read(), show(process.stderr, command.name, console))
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    if code != 0:
        raise Problem(f"{command.name} {ending(code)} (see above)")
    return json.loads(output)


async def spawn(command: Command, stderr: int) -> asyncio.subprocess.Process:
    words = [str(word) for word in command.argv]
    return await asyncio.create_subprocess_exec(
        *words, **command.options(), stdout=asyncio.subprocess.PIPE, stderr=stderr
    )


async def show(stream: asyncio.StreamReader, name: str, console: Console) -> None:
    # Not readline(): it refuses lines beyond its limit.
    rest = b""
    while chunk := await stream.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            console.line(name, line.decode(errors="replace").rstrip())
    if rest:
        console.line(name, rest.decode(errors="replace").rstrip())


def ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
