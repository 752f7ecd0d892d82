"""One request under way: what was tried and what has come."""

import logging
import time
from typing import Protocol

import msgspec
from msgspec import Struct, UnsetType, structs

from accounts.callers import Caller
from billing.generations import new_id, public_id
from billing.holds import Hold
from gateway.contents import Transcript
from gateway.errors import Attempted
from gateway.idempotency import Mark
from gateway.routing.bounds import Size
from gateway.routing.plan import Plan
from gateway.routing.sessions import Sessions
from providers.canonical import Completion, Content, Details, Request, ToolCallDelta, Usage
from providers.errors import UpstreamError
from providers.snapshot import Endpoint

# Without this many tokens of answer (or all that were asked for) an attempt is not worth its prompt.
LEAST_COMPLETION = 16
BYTES_PER_TOKEN = 4
# What a stream's hold is extended by at least, in tokens of the answer, while credit lasts.
SLICE = 512
MILLISECONDS = 1000
SEARCH = "web_search_options"
# A count of more than so many times the model's context is a slip, and would take all that the wallet has. Contexts in
# the catalogue may be off, but not by that much.
SLIP = 10
# Searches or images of one answer.
MOST_PIECES = 1000
# What a column holds.
MOST_TOKENS = 2**31 - 1

logger = logging.getLogger(__name__)
encode = msgspec.json.Encoder().encode


class Origin(Struct, frozen=True):
    """What the request's head says of who sent it."""

    http_referer: str = ""
    app_title: str = ""
    user_agent: str = ""
    session_id: str = ""
    path: str = ""
    idempotency_key: str = ""
    wants_metadata: bool = False


class Attempt(Struct):
    """As `provider_responses` of the generation API tells it; latency in milliseconds."""

    endpoint_id: str
    provider_name: str
    model_permaslug: str
    status: int | None
    latency: int
    error: str | None = None
    cost: int = 0
    """What the provider asks for it, nano-USD: for our books, not for the API."""


class Call(Struct):
    """A tool call as far as it has come."""

    name: str
    arguments: list[str]


class Slot(Protocol):
    """A place at the provider."""

    def leave(self) -> None: ...


class Watch(Protocol):
    def finished(self, generation: "Generation", outcome: str) -> None: ...


class Generation:
    def __init__(self, caller: Caller, request: Request, origin: Origin, size: Size) -> None:
        self.id = new_id()
        self.public_id = public_id(self.id)
        self.caller = caller
        self.request = request
        self.origin = origin
        self.size = size
        self.created = int(time.time())
        self.started = time.monotonic()
        self.hold: Hold | None = None
        self.mark: Mark | None = None
        self.attempts: list[Attempt] = []
        self.failures: list[Attempted] = []
        # What was sent to providers, where the client asks to see it
        debug = request.chat.debug
        self.echoes: list[bytes] | None = [] if debug is not None and debug.echo_upstream_body else None
        # Of the attempt that answers
        self.endpoint: Endpoint | None = None
        self.usage: Usage | None = None
        self.upstream_id: str | None = None
        self.finish_reason: str | None = None
        self.native_finish_reason: str | None = None
        self.first_token: float | None = None
        self.produced = 0
        self.sessions: Sessions | None = None
        self.transcript: Transcript | None = None
        self.plan: Plan | None = None
        self.drawn = 0
        self.began = self.started
        self.calls: dict[tuple[int, int], Call] = {}
        self.watch: Watch | None = None
        self.slot: Slot | None = None

    @property
    def is_streamed(self) -> bool:
        return bool(self.request.chat.stream)

    @property
    def cost(self) -> int:
        """What the providers ask for all attempts, nano-USD."""
        return sum(attempt.cost for attempt in self.attempts)

    def count(self) -> Usage:
        """The provider's count, or an estimate from the bytes that passed; images are those that were sent."""
        usage = self.usage or self._estimate()
        units = self.size.units
        if not units.images and not self.drawn and not units.searches:
            return usage
        details = usage.details or Details()
        details = structs.replace(
            details,
            images=units.images,
            output_images=self.drawn or details.output_images,
            searches=details.searches or int(units.searches > 0 and self._searches),
        )
        return structs.replace(usage, details=details)

    @property
    def _searches(self) -> bool:
        """Whether who answers was told to search: once, where nobody counts."""
        endpoint = self.endpoint
        if endpoint is None or endpoint.provider.wire != "openai":
            return False
        return SEARCH in endpoint.supported_parameters or endpoint.provider.passthrough

    def _estimate(self) -> Usage:
        completion = -(-self.produced // BYTES_PER_TOKEN)
        if self.size.output_limit is not None:
            completion = min(completion, self.size.output_limit * self.size.answers)
        return Usage(prompt=self.size.expected_prompt, completion=completion, is_estimated=True)

    def failed(self, endpoint: Endpoint, error: UpstreamError, began: float) -> None:
        self._attempted(endpoint, error.status, began, error.kind.value)
        if error.usage is not None and endpoint.price is not None and self._is_possible(endpoint, error.usage):
            self.attempts[-1].cost = endpoint.price.cost(error.usage)
        self.failures.append(Attempted(endpoint.provider.name, error.kind.value, error.status))

    def answered(self, endpoint: Endpoint, began: float, watch: "Watch | None" = None) -> None:
        """`watch` is told when the answer has ended."""
        self.endpoint = endpoint
        self.began = began
        self.watch = watch
        self._attempted(endpoint, 200, began, None)

    def leave(self) -> None:
        """It has left the provider. May be called again."""
        if self.slot is not None:
            self.slot.leave()

    def took(self, completion: Completion) -> None:
        """Counts an answer that came whole."""
        self.first_token = time.monotonic()
        self.upstream_id = completion.upstream_id
        if completion.choices:
            first = completion.choices[0]
            self.finish_reason = first.finish_reason
            self.native_finish_reason = first.native_finish_reason
        self.drawn = sum(len(choice.message.images or ()) for choice in completion.choices)
        if self.transcript is not None:
            self.transcript.took(completion)
        for place, choice in enumerate(completion.choices):
            for number, call in enumerate(choice.message.tool_calls or ()):
                self.calls[place, number] = Call(call.function.name, [call.function.arguments])
        if completion.usage is not None:
            self.reported(completion.usage)
        if self.usage is None:
            for choice in completion.choices:
                self._produced(choice.message.content, choice.message.reasoning)
                self._produced(*(call.function.arguments for call in choice.message.tool_calls or ()))

    def reported(self, usage: Usage) -> None:
        """The provider's count; the last one holds."""
        if self.endpoint is not None and self._is_possible(self.endpoint, usage):
            self.usage = usage

    def _is_possible(self, endpoint: Endpoint, usage: Usage) -> bool:
        texts = self.request.embedding.count if self.request.embedding else 1
        most = min(SLIP * endpoint.context_length * texts, MOST_TOKENS)
        pieces = max(usage.details.searches, usage.details.output_images) if usage.details else 0
        is_possible = usage.prompt <= most and usage.completion <= min(most * self.size.answers, MOST_TOKENS)
        if is_possible and pieces <= MOST_PIECES:
            return True
        logger.warning("%s: %s reports impossible usage: %s", self.public_id, endpoint.provider.name, usage)
        return False

    def saw(self, content: Content) -> None:
        """Counts a streamed piece."""
        if self.first_token is None:
            self.first_token = time.monotonic()
        if content.upstream_id is not None:
            self.upstream_id = content.upstream_id
        for choice in content.choices:
            delta = choice.delta
            self._produced(delta.content, delta.reasoning)
            if self.transcript is not None and choice.index == 0:
                self.transcript.saw(delta.content, delta.reasoning)
            if delta.images:
                self.drawn += len(delta.images)
            if delta.tool_calls:
                self._produced(*(call.function.arguments for call in delta.tool_calls))
                self._called(choice.index, delta.tool_calls)
            # Of several answers the first one's is told.
            if choice.finish_reason is not None and (choice.index == 0 or self.finish_reason is None):
                self.finish_reason = choice.finish_reason
                self.native_finish_reason = choice.native_finish_reason

    def _called(self, choice: int, parts: list[ToolCallDelta]) -> None:
        for part in parts:
            call = self.calls.setdefault((choice, part.index or 0), Call("", []))
            call.name += part.function.name or ""
            if part.function.arguments:
                call.arguments.append(part.function.arguments)

    def _produced(self, *texts: str | UnsetType | None) -> None:
        """Counts UTF-8 bytes."""
        for text in texts:
            if text:
                self.produced += len(text) if text.isascii() else len(text.encode())

    def _attempted(self, endpoint: Endpoint, status: int | None, began: float, error: str | None) -> None:
        latency = int((time.monotonic() - began) * MILLISECONDS)
        self.attempts.append(Attempt(str(endpoint.id), endpoint.provider.name, endpoint.model, status, latency, error))
