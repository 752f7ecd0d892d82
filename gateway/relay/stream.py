"""A streamed answer: opened by fallback, relayed as it comes, settled before its last byte."""

import asyncio
from collections.abc import AsyncIterator

from msgspec import UNSET, structs

from billing.errors import TillError
from billing.holds import Hold
from billing.till import Till
from gateway import errors
from gateway.attempts import first_answer
from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.idempotency import Copy, sealed
from gateway.relay.cover import Cover
from gateway.settlement import ended
from gateway.skins.base import KEEP_ALIVE, Skin, Writer
from gateway.slots import Slots
from providers import upstream
from providers.canonical import Content, Native, Usage, UsageReport
from providers.errors import Kind, UpstreamError
from providers.http import FIRST_BYTE_TIMEOUT_S, UpstreamTransport
from providers.snapshot import Endpoint
from providers.upstream import Told

# A first token later than this gets the client a status and comments, so that nothing on the way gives up.
FIRST_KEEP_ALIVE_S = 1.0
KEEP_ALIVE_S = 5.0


class Opened:
    """An upstream stream with the events up to its first content."""

    def __init__(self, stream: upstream.EventStream, events: list[Told]) -> None:
        self.stream = stream
        self.events = events


class AnswerStream:
    """Iterated once for the bytes to send; `abandon` ends it in whatever state it is. Every way out settles."""

    def __init__(
        self,
        skin: Skin,
        generation: Generation,
        hold: Hold,
        candidates: list[Endpoint],
        *,
        http: UpstreamTransport,
        slots: Slots,
        till: Till,
    ) -> None:
        self._skin = skin
        self._generation = generation
        self._hold = hold
        self._till = till
        self._http = http
        self._opened: Opened | None = None
        self._is_settled = False
        self._is_released = False
        self._opening = asyncio.create_task(first_answer(generation, candidates, slots, self._attempt))

    async def open(self) -> None:
        """Waits a moment for the first content. Raises ApiError while it can still be a status of its own."""
        await asyncio.wait([self._opening], timeout=FIRST_KEEP_ALIVE_S)
        if self._opening.done():
            try:
                self._opened = self._opening.result()
            except ApiError as error:
                await self._settle_failure(error)
                raise

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._late() if self._opened is None else self._relay(self._opened)

    async def _late(self) -> AsyncIterator[bytes]:
        """The first content is still to come."""
        while not self._opening.done():
            yield KEEP_ALIVE
            await asyncio.wait([self._opening], timeout=KEEP_ALIVE_S)
        try:
            self._opened = self._opening.result()
        except ApiError as error:
            await self._settle_failure(error)
            yield self._skin.writer(self._generation, self._generation.request.chat.candidates[0], "").error(error)
            return
        async for part in self._relay(self._opened):
            yield part

    def abandon(self) -> None:
        """The client left, or the process ends: stop the provider, charge what was produced."""
        if not self._opening.cancel() and not self._opening.cancelled() and not self._opening.exception():
            self._opened = self._opening.result()
        self._release()
        if not self._is_settled:
            self._is_settled = True
            # Who may ask again for all of it does not pay for a part.
            outcome = "cancelled" if self._generation.mark is None else "error"
            self._till.settle_soon(self._hold, ended(self._generation, outcome))

    async def _attempt(self, endpoint: Endpoint, max_tokens: int) -> Opened:
        generation = self._generation
        stream = await upstream.stream(
            self._http, endpoint, generation.request, max_tokens=max_tokens, echoes=generation.echoes
        )
        events: list[Told] = []
        try:
            async with asyncio.timeout(endpoint.first_token_timeout_s or FIRST_BYTE_TIMEOUT_S):
                await first_content(stream, events)
        except TimeoutError:
            stream.close()
            message = "the provider sent no first token in time"
            raise UpstreamError(Kind.TIMEOUT, message, usage=counted(events)) from None
        except UpstreamError as error:
            stream.close()
            error.usage = counted(events)
            raise
        except BaseException:
            stream.close()
            raise
        return Opened(stream, events)

    async def _relay(self, opened: Opened) -> AsyncIterator[bytes]:
        generation, stream = self._generation, opened.stream
        endpoint = generation.endpoint
        assert endpoint is not None
        writer = self._skin.writer(generation, endpoint.model, endpoint.provider.name)
        cover = Cover(generation, self._hold)
        copy = Copy() if generation.mark is not None else None
        clock = asyncio.get_running_loop().time
        events = opened.events
        try:
            while True:
                if not self._hold.is_trusted(clock()):
                    self.abandon()
                    return
                if part := self._take(events, writer):
                    if copy is not None:
                        copy.add(part)
                    yield part
                if stream.is_over:
                    break
                if generation.produced >= cover.ask_at and not cover.look() and not await cover.more():
                    generation.finish_reason = "length"
                    stream.close()
                    break
                events = await stream.next()
            if generation.finish_reason is None:
                raise UpstreamError(Kind.RESET, "the provider's answer broke off")
        except UpstreamError as error:
            said = errors.upstream(error, endpoint.provider, generation.failures)
            self._release()
            await self._settle_failure(said)
            yield writer.error(said)
            return
        finally:
            cover.close()
        try:
            settlement = ended(generation, "ok")
            if copy is not None and generation.mark is not None:
                copy.add(writer.ending(generation, endpoint, settlement.charge))
                settlement = structs.replace(settlement, answer=sealed(generation.mark, copy.parts))
            self._is_settled = True
            settled = await self._till.settle(self._hold, settlement)
        except TillError as refusal:
            yield writer.error(errors.translate(refusal))
            return
        yield writer.ending(generation, endpoint, settled.charge)
        if stream.is_over:
            await stream.drain()
        self._release()

    def _take(self, events: list[Told], writer: Writer) -> bytes:
        parts = []
        for event in events:
            match event:
                case Content():
                    self._generation.saw(event)
                    parts.append(writer.content(event.choices))
                case UsageReport():
                    self._generation.reported(event.usage)
                case Native() if event.family == self._generation.request.family:
                    parts.append(writer.native(event))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _settle_failure(self, error: ApiError) -> None:
        if not self._is_settled:
            self._is_settled = True
            await self._till.settle(self._hold, ended(self._generation, "error", error=error.message))

    def _release(self) -> None:
        if self._is_released or self._opened is None or self._generation.endpoint is None:
            return
        self._is_released = True
        self._opened.stream.close()
        self._generation.leave()


async def first_content(stream: upstream.EventStream, events: list[Told]) -> None:
    """Adds the events up to the first that a client would see."""
    while not any(is_substance(event) for event in events):
        if stream.is_over:
            raise UpstreamError(Kind.PROTOCOL, "the provider ended its answer before it began")
        events += await stream.next()


def counted(events: list[Told]) -> Usage | None:
    """What the provider asks money for although it failed."""
    reports = [event.usage for event in events if isinstance(event, UsageReport)]
    return reports[-1] if reports else None


def is_substance(event: Told) -> bool:
    """Something that a client could have seen: until then another endpoint may answer in its place."""
    if isinstance(event, Native):
        return event.step == "begins"
    return isinstance(event, Content) and any(
        choice.finish_reason is not None
        or choice.delta.content
        or choice.delta.reasoning is not UNSET
        or choice.delta.refusal is not UNSET
        or choice.delta.tool_calls is not UNSET
        for choice in event.choices
    )
