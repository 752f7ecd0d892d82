"""The way of a request, step by step. Each step lives in the module that owns it."""

import asyncio
import time
from functools import partial

from msgspec import Struct, structs

from accounts.callers import Caller, Callers
from billing.errors import Refused, Repeated
from billing.holds import Hold
from gateway import errors, idempotency
from gateway.contents import Transcript
from gateway.errors import ApiError
from gateway.funding import admission
from gateway.generation import Generation, Origin
from gateway.idempotency import Detached, Mark, Stream
from gateway.refusals import refused
from gateway.relay.stream import AnswerStream
from gateway.relay.whole import whole
from gateway.routing import told
from gateway.routing.bounds import size
from gateway.routing.plan import plan
from gateway.services import Services
from gateway.settlement import progress
from gateway.skins.base import Skin
from providers.snapshot import Endpoint


class Answer(Struct, frozen=True):
    """A whole body, or the stream of one."""

    generation: str
    body: bytes | Stream
    is_replayed: bool = False


async def respond(services: Services, skin: Skin, *, token: str, body: bytes, origin: Origin) -> Answer:
    """Answers one request in the words of its skin.

    Raises ApiError and the domains' errors (gateway/errors.py says what they become).
    """
    caller = await authenticate(services.callers, token)
    request = skin.parse(body)
    catalogue = services.customers.catalogue(caller.organization_id)
    dimensions = size(request)
    stuck = services.sessions.find(caller.organization_id, request, origin.session_id, time.monotonic())
    views, policy = services.monitor.views, caller.policy
    planned = plan(request, catalogue, dimensions, services.random, views=views, policy=policy, stuck=stuck)
    candidates = at_this_moment(planned.candidates)
    generation = Generation(caller, request, origin, dimensions)
    generation.sessions, generation.plan = services.sessions, planned
    mark = generation.mark = idempotency.mark_of(caller, origin.idempotency_key, origin.path, body)
    try:
        hold = generation.hold = await admit(services, generation, candidates)
    except Repeated as repeated:
        return await again(mark, repeated, is_streamed=generation.is_streamed)
    if caller.keeps_content:
        keep = partial(services.contents.keep, generation.id, caller.organization_id)
        generation.transcript = Transcript(request, keep)
    work = carry_out(services, skin, generation, hold, candidates)
    # Who may ask again for the answer does not stop it by leaving.
    return await (asyncio.shield(services.kept_running(work)) if mark else work)


async def again(mark: Mark | None, repeated: Repeated, *, is_streamed: bool) -> Answer:
    assert mark is not None
    first, body = await idempotency.kept(mark, repeated)
    return Answer(first, idempotency.Replay(body) if is_streamed else body, is_replayed=True)


async def carry_out(
    services: Services, skin: Skin, generation: Generation, hold: Hold, candidates: list[Endpoint]
) -> Answer:
    if task := asyncio.current_task():
        hold.on_gone = task.cancel
    hold.progress = partial(progress, generation)
    try:
        answer = streamed if generation.is_streamed else whole
        return Answer(generation.public_id, await answer(services, skin, generation, hold, candidates))
    except Exception as error:
        services.till.let_go(hold)
        said = errors.of_generation(generation.public_id, error)
        said.routing = told.metadata(generation)
        raise said from error


def at_this_moment(candidates: list[Endpoint]) -> list[Endpoint]:
    """With the prices that hold now, whatever the clock says when the answer ends."""
    if not any(endpoint.price and endpoint.price.is_timed for endpoint in candidates):
        return candidates
    now = time.time()
    return [structs.replace(endpoint, price=endpoint.price and endpoint.price.at(now)) for endpoint in candidates]


async def authenticate(callers: Callers, token: str) -> Caller:
    if not token:
        raise ApiError(401, "Missing Authentication header")
    caller = await callers.get(token)
    if caller is None:
        raise ApiError(401, "User not found: the API key is unknown, disabled or expired.")
    if caller.is_management:
        raise ApiError(403, "A management key cannot run inference. Use an inference key.")
    if caller.suspended:
        raise ApiError(403, caller.suspended)
    return caller


async def admit(services: Services, generation: Generation, candidates: list[Endpoint]) -> Hold:
    if services.rate_limits is not None:
        await services.rate_limits.check(generation.caller, candidates)
    try:
        return await services.till.admit(generation.caller.organization_id, admission(generation, candidates))
    except Refused as refusal:
        raise refused(refusal, generation, candidates) from None


async def streamed(
    services: Services, skin: Skin, generation: Generation, hold: Hold, candidates: list[Endpoint]
) -> Stream:
    stream = AnswerStream(
        skin, generation, hold, candidates, http=services.http, slots=services.slots, till=services.till
    )
    try:
        await stream.open()
    except BaseException:
        stream.abandon()
        raise
    return Detached(stream, hold) if generation.mark else stream
