"""Who may ask: keys in all shapes, keys that stop being good, and limits of key and credit."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from accounts import keys
from tests.services import Product, Servers, running
from tests.upstream import Upstream, text_stream
from tests.waiting import until

BODY = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
# One on the lean handler, one on Django's own.
PATHS = [("POST", "chat/completions"), ("GET", "key")]

both_handlers = pytest.mark.parametrize(("method", "path"), PATHS)


def call(product: Product, method: str = "POST", path: str = "chat/completions", **headers: str) -> httpx.Response:
    body = BODY if method == "POST" else None
    return httpx.request(method, f"{product.url}/api/v1/{path}", json=body, headers=headers, timeout=30)


@pytest.fixture(scope="session")
def twin(servers: Servers, shared: Product) -> Iterator[Product]:
    """Another gateway process on the database of the first."""
    env = {name: shared.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
    with running(servers, env=env) as product:
        yield product


@both_handlers
@pytest.mark.parametrize("value", [None, "", "Bearer", "Basic dXNlcjpwYXNz", "sk-tp-v1-abc"])
def test_without_a_bearer_token_it_is_401(shared: Product, method: str, path: str, value: str | None) -> None:
    response = call(shared, method, path, **({} if value is None else {"Authorization": value}))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    error = response.json()["error"]
    assert (error["code"], error["message"]) == (401, "Missing Authentication header")
    assert error["metadata"]["error_type"] == "authentication"


@both_handlers
@pytest.mark.parametrize("shape", ["malformed", "of another gateway", "wrong checksum", "unknown", "too long"])
def test_a_key_that_is_none_is_401(shared: Product, alice: str, method: str, path: str, shape: str) -> None:
    token = {
        "malformed": "sk-tp-v1-äöü",
        "of another gateway": "sk-or-v1-" + "0" * 64,
        "wrong checksum": alice[:-1] + ("0" if alice[-1] != "0" else "1"),
        "unknown": keys.generate(),
        "too long": alice + "0" * 5000,
    }[shape]
    headers = {b"Authorization": b"Bearer " + token.encode()}
    response = httpx.request(
        method, f"{shared.url}/api/v1/{path}", json=BODY if method == "POST" else None, headers=headers
    )
    assert response.status_code == 401
    assert "unknown, disabled or expired" in response.json()["error"]["message"]
    assert token not in response.text


@both_handlers
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("Authorization", "bearer {}"),
        ("authorization", "BEARER  {}"),
        ("x-api-key", "{}"),
        ("X-Api-Key", "{}"),
    ],
)
def test_a_good_key_in_other_ways_of_writing(
    shared: Product, alice: str, script: Upstream, method: str, path: str, name: str, template: str
) -> None:
    assert call(shared, method, path, **{name: template.format(alice)}).status_code == 200


def test_a_management_key_knows_itself_but_runs_no_inference(shared: Product, script: Upstream) -> None:
    bearer = {"Authorization": f"Bearer {shared.issue_key(credits=None, management=True)}"}
    response = call(shared, **bearer)
    assert response.status_code == 403
    assert response.json()["error"]["metadata"]["error_type"] == "permission_denied"
    assert "X-Generation-Id" not in response.headers
    assert script.seen() == []
    assert call(shared, "GET", "key", **bearer).json()["data"]["is_management_key"] is True


# A key that stops being good

ENDS = {
    "disabled": "is_disabled = true",
    "deleted": "deleted_at = now()",
    "expired": "expires_at = now()",
}


@pytest.fixture(scope="session")
def daves_first(shared: Product) -> str:
    return shared.issue_key("dave@example.com", "5")


@pytest.fixture
def dave(shared: Product, daves_first: str) -> str:
    """A key for each test, in an organization with credit."""
    key = keys.generate()
    shared.sql(
        "INSERT INTO accounts_apikey (id, organization_id, name, label, hash, is_management, is_disabled, limit_reset,"
        " created_at, updated_at) SELECT gen_random_uuid(), organization_id, name, label, %s, false, false, '', now(),"
        " now() FROM accounts_apikey WHERE hash = %s",
        (keys.digest(key), keys.digest(daves_first)),
    )
    return key


def change(product: Product, key: str, what: str) -> None:
    product.sql(f"UPDATE accounts_apikey SET {what} WHERE hash = %s", (keys.digest(key),))


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_key_is_refused_by_every_process_within_a_second(
    shared: Product, twin: Product, dave: str, script: Upstream, end: str
) -> None:
    assert [product.ask(dave).status_code for product in (shared, twin)] == [200, 200]
    change(shared, dave, ENDS[end])
    ended = time.monotonic()
    for product in (shared, twin):
        while product.ask(dave).status_code != 401:
            assert time.monotonic() - ended < 1
        assert call(product, "GET", "key", Authorization=f"Bearer {dave}").status_code == 401
    seen = len(script.seen())
    assert twin.ask(dave).json()["error"]["metadata"]["error_type"] == "authentication"
    assert len(script.seen()) == seen


def test_a_key_expires_by_itself(shared: Product, dave: str, script: Upstream) -> None:
    change(shared, dave, "expires_at = now() + interval '700 ms'")
    assert shared.ask(dave).status_code == 200
    time.sleep(0.8)
    assert shared.ask(dave).status_code == 401


def test_a_key_that_is_enabled_again_works_again(shared: Product, dave: str, script: Upstream) -> None:
    change(shared, dave, "is_disabled = true")
    change(shared, dave, "is_disabled = false")
    assert shared.ask(dave).status_code == 200


# Limits

Limit = Callable[[int, str], None]


@pytest.fixture
def limit(shared: Product, twin: Product, dave: str, script: Upstream) -> Limit:
    def to(nano: int, reset: str = "") -> None:
        shared.sql(
            "UPDATE accounts_apikey SET limit_nano = %s, limit_reset = %s WHERE hash = %s",
            (nano, reset, keys.digest(dave)),
        )
        # Nothing says when the word has arrived.
        time.sleep(0.2)

    return to


@pytest.mark.parametrize("reset", ["", "daily", "weekly", "monthly"])
def test_the_keys_limit_refuses_what_would_exceed_it(shared: Product, dave: str, limit: Limit, reset: str) -> None:
    limit(100_000, reset)
    assert shared.ask(dave).status_code == 200
    limit(18_001, reset)
    response = shared.ask(dave)
    assert response.status_code == 402
    error = response.json()["error"]
    assert error["metadata"]["limit_source"] == "openrouter_key_limit"
    assert error["metadata"]["remedy_hint"] in error["message"]
    assert "this key's limit can only afford $0.000000" in error["message"]
    assert "Retry-After" not in response.headers
    found = call(shared, "GET", "key", Authorization=f"Bearer {dave}").json()["data"]
    assert (found["limit"], found["limit_reset"], found["limit_remaining"]) == (1.8001e-05, reset or None, 1e-09)


def test_the_limit_holds_over_all_processes(shared: Product, twin: Product, dave: str, limit: Limit) -> None:
    # One request costs 18,000 and must be able to cost about 80,000.
    limit(300_000, "")
    products = [shared, twin] * 20
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda product: product.ask(dave, max_tokens=16).status_code, products))
    assert set(statuses) == {200, 402}
    found = call(shared, "GET", "key", Authorization=f"Bearer {dave}").json()["data"]
    assert found["usage"] == pytest.approx(statuses.count(200) * 0.000018)
    assert found["usage"] <= 0.0003


def test_without_credit_it_says_what_was_asked_and_what_is_affordable(shared: Product, script: Upstream) -> None:
    response = shared.ask(shared.issue_key("poor@example.com", None))
    assert response.status_code == 402
    error = response.json()["error"]
    assert error["metadata"]["limit_source"] == "openrouter_credits"
    assert error["metadata"]["error_type"] == "payment_required"
    # 16 tokens of answer at $2 a million, and the prompt's bound
    assert "$0.00007" in error["message"]
    assert "can only afford $0.000000 now" in error["message"]
    assert "Retry-After" not in response.headers
    assert script.seen() == []


def test_credit_that_is_only_held_is_a_matter_of_waiting(shared: Product, script: Upstream) -> None:
    key = shared.issue_key("erin@example.com", "0.0001")
    script.script("one-primary", [*text_stream()[:2], {"stall": True}])
    url, headers = f"{shared.url}/api/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    with httpx.stream("POST", url, json=BODY | {"stream": True, "max_tokens": 1000}, headers=headers) as stream:
        assert stream.status_code == 200
        response = shared.ask(key)
        assert response.status_code == 402
        metadata = response.json()["error"]["metadata"]
        assert metadata["limit_source"] == "openrouter_in_flight_budget"
        assert metadata["reason"] == "in_flight_budget_exhausted"
        assert int(response.headers["Retry-After"]) >= 1
    script.reset()
    until(lambda: shared.ask(key).status_code == 200, 2)


def test_the_answer_is_cut_to_what_the_credit_affords(shared: Product, script: Upstream) -> None:
    key = shared.issue_key("frank@example.com", "0.0005")
    assert shared.ask(key, max_tokens=1000).status_code == 200
    cap = script.seen()[0]["body"]["max_tokens"]
    # $0.0005 buys 250 tokens of answer, the prompt's bound apart.
    assert 16 <= cap < 250
