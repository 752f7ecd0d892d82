"""Fallback: primary → secondary → tertiary → error, until something of an answer is there."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.errors import ApiError, upstream
from gateway.generation import Generation
from gateway.slots import Slots
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
    """What the first candidate that does not fail answers; its slot stays taken until `slots.leave`.

    Raises ApiError with the last failure when all have failed, or at once when the request itself is at fault.
    """
    last: tuple[UpstreamError, Endpoint] | None = None
    given_up: set[str] = set()
    for endpoint in candidates:
        if endpoint.model in given_up:
            continue
        max_tokens = await generation.fund(endpoint)
        if max_tokens is None:
            continue
        began = time.monotonic()
        try:
            slots.enter(endpoint.provider)
            try:
                answer = await attempt(endpoint, max_tokens)
            except BaseException:
                slots.leave(endpoint.provider)
                raise
        except UpstreamError as error:
            generation.failed(endpoint, error, began)
            last = (error, endpoint)
            if error.kind in OF_THE_MODEL:
                given_up.add(endpoint.model)
            elif not error.retryable:
                break
            continue
        generation.answered(endpoint, began)
        return answer
    if last is None:
        raise ApiError(402, "The credit that is free does not pay for any endpoint of this model.")
    raise upstream(last[0], last[1].provider, generation.failures[:-1])
