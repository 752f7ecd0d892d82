"""What says no before a request begins: credits, a key's limit, budgets of an administrator, rates."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis.asyncio

from accounts.callers import Caller
from accounts.policy import NO_POLICY
from gateway.errors import ApiError
from gateway.rate_limits import RateLimits
from tests.endpoints import endpoint
from tests.services import Product, Servers, running
from tests.upstream import Upstream, text_reply
from tests.waiting import until

pytestmark = pytest.mark.thorough

# A prompt of "Hi" is bounded at 40 tokens or so; 16 tokens of answer are the least.
PRICES = '{prompt: "0.000001", completion: "0.000002"}'
ENDPOINT = "{provider: acme, tag: acme, upstream_model: m, max_completion_tokens: 1024, prices: %s}"


def catalogue(url: str) -> str:
    lines = ["providers:", f'  - {{slug: acme, name: Acme, wire: openai, base_url: "{url}", api_key: k}}', "models:"]
    free = ENDPOINT % '{prompt: "0", completion: "0"}'
    for slug, offer in (("acme/one", ENDPOINT % PRICES), ("acme/one:free", free)):
        lines += [
            f'  - slug: "{slug}"',
            "    name: One",
            "    context_length: 8192",
            "    input_modalities: [text]",
            "    output_modalities: [text]",
            "    endpoints:",
            f"      - {offer}",
        ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def gateway(servers: Servers, provider: Upstream) -> Iterator[Product]:
    provider.reset()
    with running(servers, catalogue=catalogue(provider.url)) as product:
        yield product


@pytest.fixture
def ask(gateway: Product, script: Upstream) -> Callable[..., httpx.Response]:
    return gateway.ask


Ask = Callable[..., httpx.Response]


def organization(gateway: Product, email: str) -> str:
    [(found,)] = gateway.sql(
        "SELECT organization_id FROM accounts_membership m JOIN accounts_user u ON u.id = user_id WHERE email = %s",
        (email,),
    )
    return str(found)


def budget(gateway: Product, email: str, nano: int | None, reset: str = "", *, member: bool = False) -> None:
    """As the admin and pages do it."""
    rows = "Membership.objects.select_related('organization')" if member else "Organization.objects"
    which = "organization_id" if member else "pk"
    gateway.manage(
        "shell",
        "-c",
        "from accounts.models import Membership, Organization; from billing.budgets import set_budget;"
        f" set_budget({rows}.get({which}='{organization(gateway, email)}'), {nano}, '{reset}')",
    )


def test_too_little_credit_says_what_was_asked_and_what_is_affordable(gateway: Product, ask: Ask) -> None:
    key = gateway.issue_key("empty@example.com", "0.00003")
    response = ask(key, max_tokens=500)
    assert response.status_code == 402
    error = response.json()["error"]
    assert error["code"] == 402
    assert error["metadata"]["error_type"] == "payment_required"
    assert error["metadata"]["limit_source"] == "openrouter_credits"
    assert error["metadata"]["reason"] == "weight_exceeds_budget"
    assert error["metadata"]["remedy_hint"]
    assert "500 tokens" in error["message"]
    assert "afford $0.000030" in error["message"]
    assert "Retry-After" not in response.headers


def test_credit_that_only_other_requests_hold_is_worth_another_try(
    gateway: Product, ask: Ask, script: Upstream
) -> None:
    key = gateway.issue_key("held@example.com", "0.0005")
    script.script("m", [{"sleep": 1.5}, text_reply()])
    first = threading.Thread(target=ask, args=(key,), kwargs={"max_tokens": 1000})
    first.start()
    until(lambda: gateway.sql("SELECT count(*) FROM billing_hold") == [(1,)])
    response = ask(key)
    first.join()
    assert response.status_code == 402
    metadata = response.json()["error"]["metadata"]
    assert metadata["limit_source"] == "openrouter_in_flight_budget"
    assert metadata["reason"] == "in_flight_budget_exhausted"
    assert int(response.headers["Retry-After"]) >= 1


def test_a_keys_limit_is_402_with_its_own_source(gateway: Product, ask: Ask) -> None:
    key = gateway.issue_key("limit@example.com", "10")
    gateway.sql("UPDATE accounts_apikey SET limit_nano = 1000 WHERE label LIKE %s", (f"%{key[-3:]}",))
    response = until(lambda: (found := ask(key)).status_code == 402 and found)
    assert response.json()["error"]["metadata"]["limit_source"] == "openrouter_key_limit"
    assert response.json()["error"]["metadata"]["reason"] == "weight_exceeds_budget"


@pytest.mark.parametrize(
    ("member", "reset", "scope", "source", "said"),
    [
        (False, "monthly", "workspace", "openrouter_workspace_budget", "Organization monthly budget of $0.00"),
        (True, "daily", "member", "openrouter_guardrail_budget", "Member daily budget of $0.00"),
        (True, "", "member", "openrouter_guardrail_budget", "Member budget of $0.00"),
    ],
)
def test_a_budget_that_an_administrator_has_set_is_403(
    gateway: Product, ask: Ask, member: bool, reset: str, scope: str, source: str, said: str
) -> None:
    email = f"budget{scope}{reset}@example.com"
    key = gateway.issue_key(email, "10")
    assert ask(key).status_code == 200
    # What was spent before counts: 18 µUSD. There is room for one more request, and then for none.
    budget(gateway, email, 130_000, reset, member=member)
    statuses = [ask(key).status_code for _ in range(4)]
    assert statuses[0] == 200
    assert statuses[-1] == 403
    response = ask(key)
    error = response.json()["error"]
    assert error["message"].startswith(said)
    assert error["metadata"]["error_type"] == "permission_denied"
    assert (error["metadata"]["scope"], error["metadata"]["limit_source"]) == (scope, source)
    assert error["metadata"]["limit_usd"] == 0.00013
    spent = gateway.sql("SELECT spent FROM billing_wallet WHERE organization_id = %s", (organization(gateway, email),))
    assert error["metadata"]["spend_usd"] == pytest.approx(spent[0][0] / 1e9)
    told = httpx.get(f"{gateway.url}/api/v1/key", headers={"Authorization": f"Bearer {key}"}).json()["data"]
    (bound,) = told["budgets"]
    assert bound == told["effective_budget"]
    assert (bound["scope"], bound["limit_usd"], bound["reset_interval"]) == (scope, 0.00013, reset or None)
    assert bound["spend_usd"] == pytest.approx(spent[0][0] / 1e9)
    assert "Retry-After" not in response.headers
    if reset:
        assert datetime.fromisoformat(error["metadata"]["resets_at"]) > datetime.now(UTC)
    else:
        assert error["metadata"]["resets_at"] is None
    budget(gateway, email, None)
    if not member:
        assert ask(key).status_code == 200


def test_a_members_budget_binds_their_keys_and_nobody_elses(gateway: Product, ask: Ask) -> None:
    email = "boss@example.com"
    theirs, others = gateway.issue_key(email, "10"), gateway.issue_key(email, None)
    gateway.sql("UPDATE accounts_apikey SET created_by_id = NULL WHERE label LIKE %s", (f"%{others[-3:]}",))
    budget(gateway, email, 1, "weekly", member=True)
    assert ask(theirs).status_code == 403
    assert ask(others).status_code == 200


def test_requests_per_minute_of_a_key_are_429_with_headers(gateway: Product, ask: Ask) -> None:
    key = gateway.issue_key("rate@example.com", "10")
    gateway.sql("UPDATE accounts_apikey SET requests_per_minute = 3 WHERE label LIKE %s", (f"%{key[-3:]}",))
    until(lambda: 429 in [ask(key).status_code for _ in range(4)])
    response = until(lambda: (found := ask(key)).status_code == 429 and found)
    error = response.json()["error"]
    assert error["code"] == 429
    assert error["message"].startswith("Rate limit exceeded")
    assert error["metadata"]["error_type"] == "rate_limit_exceeded"
    assert response.headers["X-RateLimit-Limit"] == "3"
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert 0 < int(response.headers["X-RateLimit-Reset"]) / 1000 - datetime.now(UTC).timestamp() <= 60
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert error["metadata"]["headers"]["X-RateLimit-Limit"] == "3"
    assert gateway.sql("SELECT count(*) FROM billing_hold") == [(0,)]


async def test_many_at_once_are_all_counted(servers: Servers) -> None:
    """More than Valkey's client has connections."""
    values: dict[str, Any] = dict.fromkeys(Caller.__struct_fields__)
    values |= {"key_id": uuid4(), "organization_id": uuid4(), "requests_per_minute": 10, "policy": NO_POLICY}
    caller = Caller(**values)
    client = redis.asyncio.Redis.from_url(servers.new_redis())
    limits = RateLimits(client)
    asked = (limits.check(caller, [endpoint("acme")]) for _ in range(300))
    beside = client.ping()
    *ended, pong = await asyncio.gather(*asked, beside, return_exceptions=True)
    await client.aclose()
    # The minute may have changed meanwhile.
    assert sum(one is None for one in ended) in (10, 20)
    assert all(one is None or isinstance(one, ApiError) for one in ended)
    assert pong is True


def test_requests_per_minute_of_an_organization_count_all_its_keys(gateway: Product, ask: Ask) -> None:
    email = "rates@example.com"
    keys = [gateway.issue_key(email, "10"), gateway.issue_key(email, None)]
    gateway.sql(
        "UPDATE accounts_organization SET requests_per_minute = 0 WHERE id = %s", (organization(gateway, email),)
    )
    until(lambda: [ask(key).status_code for key in keys] == [429, 429])


def test_free_models_have_an_allowance_and_paid_ones_none(gateway: Product, ask: Ask) -> None:
    key = gateway.issue_key("free@example.com", None)
    responses = [ask(key, model="acme/one:free") for _ in range(41)]
    assert {response.status_code for response in responses} == {200, 429}
    # Forty would fit if a minute ended in between, and no more.
    error = next(response for response in responses if response.status_code == 429).json()["error"]
    assert "free-models-per-min" in error["message"]
    assert error["metadata"]["limit_source"] == "openrouter_free_tier_daily"
    said = httpx.get(f"{gateway.url}/api/v1/key", headers={"Authorization": f"Bearer {key}"}).json()["data"]
    allowed = sum(response.status_code == 200 for response in responses)
    assert said["free_model_daily_requests"] == {"used": allowed, "limit": 50, "remaining": 50 - allowed}


@pytest.mark.parametrize(("credits", "name"), [("1", "free-models-per-day"), ("9", "free-models-per-day-high-balance")])
def test_the_day_of_free_models_is_longer_for_who_has_bought(
    gateway: Product, ask: Ask, credits: str, name: str
) -> None:
    key = gateway.issue_key(f"day{credits}@example.com", credits)
    own = organization(gateway, f"day{credits}@example.com")
    client = redis.Redis.from_url(gateway.environment["REDIS_URL"])
    day = int(datetime.now(UTC).timestamp() // 86400)
    counter = f"rate:{{{own}}}:free-models-per-day:{own}:{day}"
    client.set(counter, 50)
    assert ask(key, model="acme/one:free").status_code == (429 if credits == "1" else 200)
    client.set(counter, 1000)
    response = ask(key, model="acme/one:free")
    assert response.status_code == 429
    assert f"{name}." in response.json()["error"]["message"]


def test_without_valkey_requests_pass(servers: Servers, provider: Upstream, script: Upstream) -> None:
    with running(servers, catalogue=catalogue(provider.url), env={"REDIS_URL": "redis://127.0.0.1:9/0"}) as product:
        key = product.issue_key("alone@example.com", "10")
        product.sql("UPDATE accounts_apikey SET requests_per_minute = 1")
        for _ in range(3):
            assert product.ask(key).status_code == 200
