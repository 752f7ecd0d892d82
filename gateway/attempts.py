"""Fallback: primary → secondary → tertiary → error, until something of an answer is there."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from gateway.errors import ApiError, upstream
from gateway.funding import fund
from gateway.generation import Generation
from gateway.slots import FALLBACK_WAIT_S, Late, Slots
from providers.errors import Kind, UpstreamError
from providers.snapshot import Endpoint

T = TypeVar("T")
# Another endpoint of the same model would say the same; another model may not.
OF_THE_MODEL = frozenset({Kind.CONTEXT_LENGTH, Kind.CONTENT_POLICY})


async def first_answer(
    generation: Generation,
    candidates: list[Endpoint],
    slots: Slots,
    attempt: Callable[[Endpoint, int], Awaitable[T]],
) -> T:
    """What the first candidate that does not fail answers; its slot stays taken until `generation.leave`.

    Raises ApiError with the last failure when all have failed, or at once when the request itself is at fault.
    """
    last: tuple[UpstreamError, Endpoint] | None = None
    given_up: set[str] = set()
    busy: list[Endpoint] = []
    left = deque(candidates)
    while left or busy:
        if not left:
            # Nobody else could answer: these may still, for who waits.
            left, busy = deque(busy), []
        endpoint = left.popleft()
        if endpoint.model in given_up:
            continue
        max_tokens = await fund(generation, endpoint)
        if max_tokens is None:
            continue
        began = time.monotonic()
        try:
            answer, began = await try_one(generation, endpoint, slots, attempt, max_tokens, is_last=not left)
        except UpstreamError as error:
            generation.failed(endpoint, error, began)
            last = (error, endpoint)
            if error.kind in OF_THE_MODEL:
                given_up.add(endpoint.model)
            elif not error.retryable:
                break
            elif isinstance(error, Late) and left:
                busy.append(endpoint)
            continue
        slots.monitor.answered(generation, endpoint, began)
        generation.answered(endpoint, began, slots.monitor)
        return answer
    if last is None:
        raise ApiError(402, "The credit that is free does not pay for any endpoint of this model.")
    raise upstream(last[0], last[1].provider, generation.failures[:-1])


async def try_one(
    generation: Generation,
    endpoint: Endpoint,
    slots: Slots,
    attempt: Callable[[Endpoint, int], Awaitable[T]],
    max_tokens: int,
    *,
    is_last: bool,
) -> tuple[T, float]:
    """The answer, and when the provider was asked for it. Raises UpstreamError."""
    slots.monitor.enter(endpoint)
    patience = inf if is_last else FALLBACK_WAIT_S
    slot = await slots.enter(endpoint, generation.caller.organization_id, patience)
    began = time.monotonic()
    try:
        answer = await attempt(endpoint, max_tokens)
    except UpstreamError as error:
        slot.leave()
        slots.monitor.failed(endpoint, error, began)
        raise
    except BaseException:
        slot.leave()
        raise
    generation.slot = slot
    return answer, began
