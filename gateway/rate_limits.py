"""Requests per minute, where an operator has set them, and the allowances of free models (§3.7) and of visitors.

Counters are in Valkey and touch no money: when it is away, requests pass, but for those of visitors.
"""

import asyncio
import logging
import time
from uuid import UUID

import redis.asyncio
from msgspec import Struct

from accounts import visitors
from accounts.callers import Caller
from accounts.threads import in_thread
from billing.money import NANO_PER_USD
from billing.wallets import given_in_all
from gateway.away import AWAY
from gateway.errors import ApiError
from providers.snapshot import Endpoint

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400
FREE_PER_MINUTE = 20
FREE_PER_DAY = 50
FREE_PER_DAY_HIGH = 1000
# Ten dollars of credit, less what a payment's fees may take of it.
HIGH_NANO = 9 * NANO_PER_USD
PATIENCE_S = 0.25
# The client has 100 connections, and others need some.
MOST_AT_ONCE = 50
VISITOR = "visitor"
# Nothing is counted unless everything has room: a request refused by the minute must not eat of the day.
TAKE = """
for i = 1, #KEYS do
    if tonumber(redis.call('GET', KEYS[i]) or '0') >= tonumber(ARGV[2 * i - 1]) then return i end
end
for i = 1, #KEYS do
    redis.call('INCR', KEYS[i])
    redis.call('EXPIRE', KEYS[i], ARGV[2 * i])
end
return 0
"""

logger = logging.getLogger(__name__)


class Rule(Struct, frozen=True):
    name: str
    of: UUID
    limit: int
    seconds: int

    def key(self, organization: UUID, now: float) -> str:
        # Keys of one organization are in one slot of a cluster.
        return f"rate:{{{organization}}}:{self.name}:{self.of}:{int(now // self.seconds)}"


class RateLimits:
    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._take = client.register_script(TAKE)
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._failures = 0

    async def check(self, caller: Caller, candidates: list[Endpoint]) -> None:
        """Counts the request. Raises ApiError 429."""
        rules = rules_of(caller)
        is_free = all(endpoint.model.endswith(":free") for endpoint in candidates)
        if not rules and not is_free:
            return
        organization = caller.organization_id
        if is_free:
            rules += free_rules(organization, FREE_PER_DAY)
        broken = await self._count(organization, rules)
        is_small = broken is not None and broken.seconds == DAY_S
        # Asked only of those who have used up the small allowance.
        if is_small and await in_thread(given_in_all, organization) >= HIGH_NANO:
            broken = await self._count(organization, rules[:-1] + free_rules(organization, FREE_PER_DAY_HIGH)[1:])
        if broken is not None:
            raise exceeded(broken, time.time())

    async def _count(self, organization: UUID, rules: list[Rule]) -> Rule | None:
        """The rule that has no room."""
        now = time.time()
        keys = [rule.key(organization, now) for rule in rules]
        arguments = [number for rule in rules for number in (rule.limit, 2 * rule.seconds)]
        failures = self._failures
        async with self._places:
            # Who waited behind one that was not answered does not wait for its own.
            if failures == self._failures:
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        place = int(await self._take(keys=keys, args=arguments))
                    return rules[place - 1] if place else None
                except AWAY as error:
                    self._failures += 1
                    logger.warning("requests are not counted: %s", str(error) or type(error).__name__)
        return next((rule for rule in rules if rule.name == VISITOR), None)


def rules_of(caller: Caller) -> list[Rule]:
    rules = []
    if caller.requests_per_minute is not None:
        rules.append(Rule("key", caller.key_id, caller.requests_per_minute, MINUTE_S))
    if caller.organization_requests_per_minute is not None:
        organization = caller.organization_id
        rules.append(Rule("organization", organization, caller.organization_requests_per_minute, MINUTE_S))
    if caller.visitor is not None:
        rules.append(Rule(VISITOR, caller.visitor, visitors.PER_HOUR, HOUR_S))
    return rules


def free_rules(organization: UUID, per_day: int) -> list[Rule]:
    return [
        Rule("free-models-per-min", organization, FREE_PER_MINUTE, MINUTE_S),
        # Both allowances count in one place.
        Rule("free-models-per-day", organization, per_day, DAY_S),
    ]


def exceeded(rule: Rule, now: float) -> ApiError:
    resets = (int(now // rule.seconds) + 1) * rule.seconds
    headers = {
        "X-RateLimit-Limit": str(rule.limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(resets * 1000),
    }
    metadata: dict[str, object] = {"headers": headers}
    name = f"requests-per-minute of this {rule.name}"
    if rule.name.startswith("free-"):
        name = rule.name + ("-high-balance" if rule.limit == FREE_PER_DAY_HIGH else "")
        metadata["limit_source"] = "openrouter_free_tier_daily"
    message = f"Rate limit exceeded: {name}. {rule.limit} requests are allowed."
    if rule.name == VISITOR:
        message = f"Visitors may ask {rule.limit} times an hour. Sign up to go on, or come back in a while."
    return ApiError(429, message, metadata=metadata, retry_after=resets - now, headers=headers)


def free_today(client: "redis.Redis", organization: UUID) -> dict[str, int]:
    """`free_model_daily_requests` of the key API."""
    limit = FREE_PER_DAY_HIGH if given_in_all(organization) >= HIGH_NANO else FREE_PER_DAY
    rule = free_rules(organization, limit)[1]
    try:
        used = int(client.get(rule.key(organization, time.time())) or 0)
    except redis.RedisError:
        used = 0
    return {"used": used, "limit": limit, "remaining": max(limit - used, 0)}
