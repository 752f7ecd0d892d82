"""What a request holds of its organization's credit, and how long an answer that pays for."""

import msgspec
from msgspec import Raw

from billing.errors import Refused, TillAway
from billing.items import Admit
from billing.money import MAX_NANO
from gateway import records
from gateway.generation import Generation
from gateway.routing.bounds import Size
from providers.snapshot import Endpoint

# Without this many tokens of answer (or all that were asked for) an attempt is not worth its prompt.
LEAST_COMPLETION = 16
# What a stream's hold is extended by at least, in tokens of the answer, while credit lasts.
SLICE = 512

encode = msgspec.json.Encoder().encode


def admission(generation: Generation, candidates: list[Endpoint]) -> Admit:
    """The hold to ask for: least at the cheapest candidate, the most at the dearest."""
    caller, mark, size = generation.caller, generation.mark, generation.size
    prompt, answers, units = size.prompt, size.answers, size.units
    priced = [(output_cap(size, endpoint), endpoint.price) for endpoint in candidates if endpoint.price]
    small = least_completion(size)
    least = min(price.bound(prompt, min(small, cap) * answers, units) for cap, price in priced)
    want = max(price.bound(prompt, cap * answers, units) for cap, price in priced)
    return Admit(
        generation=generation.id,
        key=caller.key_id,
        least=min(least, MAX_NANO),
        want=min(want, MAX_NANO),
        share=share(generation),
        budgets=caller.budgets,
        limits=caller.limits,
        windows=caller.windows,
        record=Raw(encode(records.opening(generation))),
        idempotency=mark.id if mark else None,
        body=mark.body if mark else None,
    )


def share(generation: Generation) -> int:
    """Of the free credit, one part in so many at most: a stream's hold grows with it, a plain request's cannot."""
    if generation.is_streamed:
        return 4
    # Who names no limit gets what half of the credit affords, so that one request does not lock out the next.
    return 1 if generation.size.output_limit else 2


def least_completion(size: Size) -> int:
    if not size.answers:
        return 0
    return min(LEAST_COMPLETION, size.output_limit or LEAST_COMPLETION)


def output_cap(size: Size, endpoint: Endpoint) -> int:
    """What the endpoint can answer at most beside a prompt of this size, and no more than was asked for."""
    room = max(endpoint.context_length - size.expected_prompt, least_completion(size))
    most = min(endpoint.max_completion_tokens or room, room)
    return min(most, size.output_limit or most)


async def fund(generation: Generation, endpoint: Endpoint) -> int | None:
    """max_tokens for an attempt there; None when the credit does not pay for one.

    A hold that was granted for cheaper endpoints is extended first.
    """
    cap = granted_cap(generation, endpoint)
    price, hold, is_streamed = endpoint.price, generation.hold, generation.is_streamed
    if price is None or hold is None or (cap is not None and (is_streamed or not generation.attempts)):
        return cap
    size = generation.size
    most = output_cap(size, endpoint)
    least = price.bound(size.prompt, min(least_completion(size), most) * size.answers, size.units)
    least = max(least, hold.amount + 1)
    slice_or_all = min(most, SLICE) if is_streamed else most
    want = price.bound(size.prompt, slice_or_all * size.answers, size.units)
    if least <= want:
        try:
            await hold.extend(least, want)
        except (Refused, TillAway):
            return cap
    return granted_cap(generation, endpoint)


def granted_cap(generation: Generation, endpoint: Endpoint) -> int | None:
    """As far as the hold pays for it; a stream's whole answer, as its hold is extended on the way."""
    size, hold = generation.size, generation.hold
    if endpoint.price is None or hold is None:
        return None
    cap = affordable = output_cap(size, endpoint)
    completion = endpoint.price.affordable_completion(hold.amount, size.prompt, size.units)
    if completion is not None:
        affordable = min(cap, completion // max(size.answers, 1))
    if affordable < min(least_completion(size), cap):
        return None
    return cap if generation.is_streamed else affordable
