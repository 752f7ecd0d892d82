"""A whole answer: got by fallback, written, settled, and only then sent."""

import asyncio

from msgspec import structs

from billing.errors import HoldGone
from billing.holds import Hold
from gateway import idempotency
from gateway.attempts import first_answer
from gateway.errors import ApiError
from gateway.generation import Generation
from gateway.services import Services
from gateway.settlement import ended
from gateway.skins.base import Skin
from providers import upstream
from providers.canonical import Completion
from providers.snapshot import Endpoint


async def whole(
    services: Services, skin: Skin, generation: Generation, hold: Hold, candidates: list[Endpoint]
) -> bytes:
    async def attempt(endpoint: Endpoint, max_tokens: int) -> Completion:
        return await upstream.complete(services.http, endpoint, generation.request, max_tokens=max_tokens)

    try:
        completion = await first_answer(generation, candidates, services.slots, attempt)
    except ApiError as error:
        await services.till.settle(hold, ended(generation, "error", error=error.message))
        raise
    except BaseException as error:
        # The client left, or we failed: what the provider may have done is unknown, so nothing is charged.
        outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
        services.till.settle_soon(hold, ended(generation, outcome))
        raise
    endpoint = generation.endpoint
    assert endpoint is not None
    generation.leave()
    generation.took(completion)
    if not hold.is_trusted(asyncio.get_running_loop().time()):
        services.till.settle_soon(hold, ended(generation, "error", error="out of touch with the till"))
        raise HoldGone(generation.id)
    settlement = ended(generation, "ok")
    try:
        body = skin.completion(generation, endpoint, completion, settlement.charge)
    except Exception:
        # Nobody pays for an answer that cannot be written.
        generation.transcript = None
        services.till.settle_soon(hold, ended(generation, "error", error="the answer could not be written"))
        raise
    if generation.mark is not None:
        settlement = structs.replace(settlement, answer=idempotency.sealed(generation.mark, [body]))
    settled = await services.till.settle(hold, settlement)
    if settled.charge != settlement.charge:
        body = skin.completion(generation, endpoint, completion, settled.charge)
    return body
