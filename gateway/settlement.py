"""What a generation costs when it ends, and meanwhile."""

import time

import msgspec
from msgspec import Raw

from billing.items import Settle
from billing.money import MAX_NANO
from gateway import records
from gateway.generation import Generation
from providers.canonical import Usage

encode = msgspec.json.Encoder().encode


def progress(generation: Generation) -> tuple[int, int]:
    """Used so far, at the customer's price and at the providers'. A plain request owes nothing before its end."""
    charge, cost = amounts(generation, generation.count()) if generation.is_streamed else (0, 0)
    return charge, cost + generation.cost


def ended(generation: Generation, outcome: str, *, error: str = "") -> Settle:
    """Failed and empty generations cost the client nothing; what they cost us is recorded all the same."""
    usage = generation.count()
    charge, cost = amounts(generation, usage)
    if is_free(generation, outcome, usage):
        charge = 0
    elif outcome == "ok":
        remember(generation, usage)
    if generation.endpoint is not None:
        # The last attempt is the one that answered.
        generation.attempts[-1].cost = cost
    if generation.transcript is not None:
        generation.transcript.end(error)
    record = Raw(encode(records.closing(generation, outcome, usage, error)))
    if generation.watch is not None:
        watch, generation.watch = generation.watch, None
        watch.finished(generation, outcome)
    return Settle(generation=generation.id, charge=charge, list=charge, cost=generation.cost, record=record)


def amounts(generation: Generation, usage: Usage) -> tuple[int, int]:
    """What the customer pays for it and what the provider asks, nano-USD."""
    price = generation.endpoint.price if generation.endpoint else None
    if price is None:
        return 0, 0
    # Beyond that it is a slip of price or count, and would not fit into a column.
    amount = min(price.amount(usage), MAX_NANO)
    return amount, amount if price.listed is None else min(price.listed.amount(usage), MAX_NANO)


def is_free(generation: Generation, outcome: str, usage: Usage) -> bool:
    if outcome == "error" or generation.finish_reason == "error":
        return True
    return outcome == "ok" and is_empty(generation, usage)


def is_empty(generation: Generation, usage: Usage) -> bool:
    """Nothing came: without a word why, or because the provider would not say it."""
    has_come = usage.completion or generation.produced or generation.drawn
    if has_come or not generation.size.answers:
        return False
    return not generation.native_finish_reason or generation.finish_reason == "content_filter"


def remember(generation: Generation, usage: Usage) -> None:
    """The next request of the same session goes where the caches are."""
    if generation.endpoint is not None and generation.sessions is not None:
        organization, session_id = generation.caller.organization_id, generation.origin.session_id
        generation.sessions.used(
            organization, generation.request, session_id, generation.endpoint, usage, time.monotonic()
        )
