"""What gateway processes tell each other of providers, for a page: read from Redis in one round trip."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import redis
from django.conf import settings
from msgspec import DecodeError, Struct
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.leases import SLOTS
from gateway.pulse import ALIVE_S, BREAKERS, PROCESSES, TRIAL
from gateway.routing import breaker

# A page waits no longer for what only completes it.
TIMEOUT_S = 0.5

logger = logging.getLogger(__name__)


class Resting(Struct, frozen=True):
    """An endpoint that is not asked now, or by one request alone."""

    endpoint: UUID
    state: str
    """open, half-open (one request tries it, or the next will) or cooling down."""
    cause: str
    since: datetime
    until: datetime


class Queue(Struct, frozen=True):
    """Requests at a provider with a limit, over all processes."""

    taken: int = 0
    """Places that processes have, in use or kept for a moment."""
    waiting: int = 0


class Heard(Struct, frozen=True):
    processes: int
    resting: list[Resting]
    queues: dict[str, Queue]
    """By the name of a line (gateway/slots.py)."""


def hear(lines: Iterable[str]) -> Heard | None:
    """None when Redis does not answer. `lines`: slugs of providers and `endpoint:<id>`, whose queues are asked for."""
    wanted = list(lines)
    retry = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(
        settings.REDIS_URL, retry=retry, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    pipeline = client.pipeline(transaction=False)
    pipeline.zcount(PROCESSES, time.time() - ALIVE_S, "+inf")
    pipeline.hgetall(BREAKERS)
    for line in wanted:
        pipeline.hgetall(SLOTS.format(line))
    try:
        with client:
            processes, breakers, *slots = pipeline.execute()
            resting = list(read(client, breakers))
    except (redis.RedisError, OSError) as error:
        logger.warning("Redis does not answer: %s", error)
        return None
    except (DecodeError, ValueError) as error:
        # A process of another release may tell it otherwise.
        logger.warning("what processes say cannot be read: %s", error)
        return None
    queues = {line: queue(rows) for line, rows in zip(wanted, slots, strict=True) if rows}
    return Heard(processes, resting, queues)


def read(client: "redis.Redis", rows: Mapping[bytes, bytes]) -> Iterable[Resting]:
    now = time.time()
    found = {UUID(endpoint.decode()): breaker.decode(row) for endpoint, row in rows.items()}
    tried = client.mget([TRIAL.format(endpoint) for endpoint in found]) if found else []
    for (endpoint, one), trial in zip(found.items(), tried, strict=True):
        is_over = now >= one.until
        if one.kind == "cooling" and is_over:
            continue
        state = "cooling down" if one.kind == "cooling" else "half-open" if is_over or trial else "open"
        yield Resting(endpoint, state, one.cause, moment(one.opened_at), moment(one.until))


def queue(rows: Mapping[bytes, bytes]) -> Queue:
    """Sums of what each living process says of a provider (gateway/lease.lua)."""
    now_ms = time.time() * 1000
    told = [json.loads(row) for row in rows.values()]
    alive = [row for row in told if row["live_until"] > now_ms]
    return Queue(sum(row["leased"] for row in alive), sum(row["waiting"] for row in alive))


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
