"""What all processes counted in the last minutes, read from Valkey, to be kept."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import redis
from django.conf import settings

from gateway.routing.stats import LIVE_SLOTS, SLOT_S, STATS, added, decode, slot_of
from providers.statistics import Tally

# A worker may have been away; the numbers stay in Valkey for longer than that.
LOOKED_BACK_S = 900
MINUTE_S = 60


def last_minutes(now: float | None = None) -> dict[datetime, dict[UUID, Tally]]:
    """Whole minutes that are over, with all that was counted in them."""
    now = time.time() if now is None else now
    over = (slot_of(now) - LIVE_SLOTS + 1) * SLOT_S // MINUTE_S
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5)
    found = {}
    with client:
        for minute in range(over - LOOKED_BACK_S // MINUTE_S, over):
            slots = range(minute * MINUTE_S // SLOT_S, (minute + 1) * MINUTE_S // SLOT_S)
            begin = datetime.fromtimestamp(0, UTC) + timedelta(minutes=minute)
            found[begin] = added(decode(report) for slot in slots for report in reports(client, slot))
    return found


def reports(client: "redis.Redis", slot: int) -> list[bytes]:
    # Typed for clients that decode what they read, too.
    return [report for report in client.hvals(STATS.format(slot)) if isinstance(report, bytes)]
