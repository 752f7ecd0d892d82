"""A stream's hold is extended ahead of what the answer uses. Checked once for each read: an integer against another."""

import asyncio
import sys

from billing.errors import HoldGone, Refused, TillAway
from billing.holds import Hold
from gateway.funding import SLICE, least_completion, output_cap
from gateway.generation import BYTES_PER_TOKEN, Generation
from providers.pricing import Price


class Cover:
    """How far the hold pays, in bytes of content. From `ask_at` on more is asked for; at `ends_at` it is waited for."""

    def __init__(self, generation: Generation, hold: Hold) -> None:
        self.ask_at = self.ends_at = sys.maxsize
        self._generation = generation
        self._hold = hold
        self._asking: asyncio.Task[bool] | None = None
        endpoint = generation.endpoint
        if endpoint is not None and endpoint.price is not None:
            self._price: Price = endpoint.price
            self._most = output_cap(generation.size, endpoint) * generation.size.answers
            self._slice = max(self._tokens(), SLICE)
            self._measure(self._tokens() // 2)

    def look(self) -> bool:
        """Asks for the next slice if it is time. False when what is used is not covered: then wait for `more`."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._extend())
        return self._generation.produced < self.ends_at

    async def more(self) -> bool:
        """Whether the stream may go on; waits for the till."""
        while self._generation.produced >= self.ends_at:
            # What was refused a while ago is asked again: other requests' holds may have ended since.
            if self._asking is None:
                self._asking = asyncio.create_task(self._extend())
            if not await self._asking:
                return False
        return True

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _extend(self) -> bool:
        try:
            covered, size = self._tokens(), self._generation.size
            least = min(covered + least_completion(size), self._most)
            want = min(covered + self._slice, self._most)
            try:
                # At least one more: a slice of nearly nothing must not be asked for again and again.
                least_amount = max(self._price.bound(size.prompt, least, size.units), self._hold.amount + 1)
                await self._hold.extend(least_amount, self._price.bound(size.prompt, want, size.units))
            except (Refused, TillAway):
                self.ask_at = self.ends_at
                return False
            except HoldGone:
                self._hold.on_gone()
                return False
            self._measure((self._tokens() - covered) // 2)
            return True
        finally:
            self._asking = None

    def _measure(self, ahead: int) -> None:
        tokens = self._tokens()
        if tokens >= self._most:
            self.ask_at = self.ends_at = sys.maxsize
            return
        self.ends_at = tokens * BYTES_PER_TOKEN
        self.ask_at = (tokens - ahead) * BYTES_PER_TOKEN

    def _tokens(self) -> int:
        """Of the answer, that the hold pays for beside the prompt."""
        size = self._generation.size
        tokens = self._price.affordable_completion(self._hold.amount, size.prompt, size.units)
        return self._most if tokens is None else max(tokens, 0)
