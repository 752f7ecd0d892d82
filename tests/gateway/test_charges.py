"""What odd counts, prices and moments do to a charge: no error of ours, never too much, never below zero."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.gateway.charged import Client, ending, nano, usage
from tests.services import Product, Servers, running
from tests.upstream import Upstream, chunk, text_reply, text_stream
from tests.waiting import until

pytestmark = pytest.mark.thorough

PROMPT, COMPLETION, SEARCH = 1_000, 2_000, 5_000
PRICES = 'prompt: "0.000001", completion: "0.000002"'
MODELS = {
    "acme/one": f'{PRICES}, web_search: "0.000005"',
    "acme/cheaper": f'{PRICES}, discount: "0.25"',
    "acme/absurd": 'prompt: "999999", completion: "999999"',
    "acme/timed": PRICES,
    "acme/short": PRICES,
}


def catalogue(url: str, **prices: str) -> str:
    lines = ["providers:", f'  - {{slug: acme, name: Acme, wire: openai, base_url: "{url}", api_key: k}}', "models:"]
    for slug, usual in MODELS.items():
        name, most = slug[5:], "max_completion_tokens: 8, " if slug == "acme/short" else ""
        endpoint = f"{{provider: acme, tag: acme, upstream_model: {name}, {most}prices: {{{prices.get(name, usual)}}}}}"
        lines.append(
            f"  - {{slug: {slug}, name: {name}, context_length: 8192, input_modalities: [text],"
            f" output_modalities: [text], endpoints: [{endpoint}]}}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def own(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url)) as product:
        yield product
        assert "All checks passed." in product.manage("verify_ledger").stdout


@pytest.fixture(scope="module")
def client(own: Product) -> Client:
    return Client(own, own.issue_key("alice@example.com", "100"))


def organization(own: Product, client: Client) -> str:
    label = client.data("/key")["label"]
    return str(own.sql("SELECT organization_id FROM accounts_apikey WHERE label = %s", (label,))[0][0])


# Counts


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (usage(-10, -4), 0),
        (usage(-10, 4), 4 * COMPLETION),
        (usage(10, 4, {"cached_tokens": -5}), 10 * PROMPT + 4 * COMPLETION),
        (usage(10, 4, {"cached_tokens": 10**9}), 10 * PROMPT + 4 * COMPLETION),
        (usage(10, 4, None, {"image_tokens": 10**12, "audio_tokens": 10**12}), 10 * PROMPT + 4 * COMPLETION),
        (usage(0, 0), 0),
        (usage(10, 2**70), None),
        (usage(10, 1 << 31), None),
        ({**usage(10, 4), "num_search_queries": 3}, 10 * PROMPT + 4 * COMPLETION + 3 * SEARCH),
        ({**usage(10, 4), "num_search_queries": -3}, 10 * PROMPT + 4 * COMPLETION),
        ({**usage(10, 4), "num_search_queries": 10**12}, None),
        ({"prompt_tokens": 10.5, "completion_tokens": "many"}, None),
        ({"prompt_tokens": None}, None),
        ([], None),
        ("free", None),
    ],
    ids=lambda value: str(value)[:60].replace("completion_tokens", "c"),
)
def test_a_count_that_makes_no_sense(
    client: Client, script: Upstream, counted: Any, expected: int | None, stream: bool
) -> None:
    """It is cut to what can be, or estimated (None); the client has its answer all the same."""
    script.script("one", text_stream(usage=counted) if stream else [text_reply(usage=counted)])
    answer = client.ask("acme/one", stream=stream)
    assert answer.status_code == 200, answer.text
    row = client.row(answer.headers["X-Generation-Id"])
    assert (row["outcome"], row["is_estimated"]) == ("ok", expected is None)
    estimate = row["prompt_tokens"] * PROMPT + row["completion_tokens"] * COMPLETION
    assert row["charge"] == nano(ending(answer)["cost"]) == (estimate if expected is None else expected)
    assert row["charge"] < 200_000


@pytest.mark.parametrize("counted", [None, usage(10, 12)])
def test_each_of_several_answers_is_charged(client: Client, script: Upstream, counted: Any) -> None:
    reply = text_reply(usage=counted)
    message = {"role": "assistant", "content": "x" * 40}
    reply["reply"]["choices"] = [{"index": n, "message": message, "finish_reason": "stop"} for n in range(3)]
    script.script("one", [reply])
    row = client.row(client.ask("acme/one", n=3).json()["id"])
    assert row["completion_tokens"] == (12 if counted else 30)
    assert row["charge"] == row["prompt_tokens"] * PROMPT + row["completion_tokens"] * COMPLETION


def test_each_of_several_answers_is_held(own: Product, script: Upstream) -> None:
    poor = Client(own, own.issue_key("several@example.com", "0.0005"))
    assert poor.ask("acme/one", n=8, max_tokens=1000).status_code == 200
    asked = script.seen()[-1]["body"]
    assert asked["n"] == 8
    assert 16 <= asked["max_tokens"] <= 500_000 // COMPLETION // 8
    refused = poor.ask("acme/one", n=128, max_tokens=1000)
    assert refused.status_code == 402
    # What is affordable is told for each answer.
    tokens = int(refused.json()["error"]["message"].split(" tokens). ")[0].rsplit("(", 1)[1])
    assert tokens < 16


def replied(message: Any, **more: Any) -> Any:
    step = text_reply()
    step["reply"]["choices"] = [{"index": 0, "message": message, "finish_reason": "stop", **more}]
    return step


def called(arguments: Any, name: Any = "f") -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


ODD = [
    *(called(arguments) for arguments in ("", "nonsense", "[1]", '"text"', "null", '{"a": ' * 200, {"a": 1}, 7)),
    called("{}", None),
    {"role": "assistant"},
    {"role": "assistant", "content": [{"type": "text", "text": "parts"}]},
    {"role": "assistant", "content": 7},
    {"role": "user", "content": "x", "refusal": "no", "reasoning": "well", "reasoning_details": [{"type": "odd"}]},
    {"role": "assistant", "content": "x", "images": [{"type": "image_url", "image_url": {"url": "no url"}}]},
    {"role": "assistant", "content": "\ud800\u0000"},
    {"role": "assistant", "content": "x", "annotations": [{"type": "url_citation"}], "audio": {"id": 7}},
    None,
    "text",
]
ASKED: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100},
    "/responses": {"input": "Hi"},
}


@pytest.mark.parametrize("path", ASKED)
def test_whatever_a_provider_answers_is_charged_or_an_error(
    own: Product, client: Client, script: Upstream, path: str
) -> None:
    for message in ODD:
        script.script("one", [replied(message)])
        before = client.spent()
        answer = client.http.post(path, json={"model": "acme/one", **ASKED[path]})
        assert answer.status_code in (200, 502), (message, answer.text)
        charged = 10 * PROMPT + 4 * COMPLETION if answer.status_code == 200 else 0
        assert client.spent() - before == charged, (message, answer.text)
        assert own.sql("SELECT count(*) FROM billing_hold") == [(0,)], message


# Prices


@pytest.mark.parametrize("stream", [False, True])
def test_an_endpoint_that_answers_with_a_few_tokens_only(client: Client, script: Upstream, stream: bool) -> None:
    answer = client.ask("acme/short", stream=stream)
    assert answer.status_code == 200, answer.text
    assert script.seen()[-1]["body"]["max_tokens"] == 8
    assert client.row(answer.headers["X-Generation-Id"])["charge"] == 10 * PROMPT + 4 * COMPLETION


@pytest.mark.parametrize("fields", [{}, {"n": 128}, {"stream": True}, {"max_tokens": 1}])
def test_a_price_beyond_all_money_is_402(client: Client, script: Upstream, fields: dict[str, Any]) -> None:
    answer = client.ask("acme/absurd", **fields)
    assert answer.status_code == 402, answer.text
    assert answer.json()["error"]["metadata"]["limit_source"] == "openrouter_credits"
    assert client.ask("acme/one").status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_markup_and_discount_together(own: Product, client: Client, script: Upstream, stream: bool) -> None:
    row = organization(own, client), "acme/cheaper", 500_000
    own.sql("INSERT INTO billing_markup (organization_id, model, millionths) VALUES (%s, %s, %s)", row)
    listed = (10 * PROMPT + 4 * COMPLETION) * 3 // 4
    try:
        answer = until(lambda: is_charged(client, client.ask("acme/cheaper", stream=stream), listed * 3 // 2))
        assert client.row(answer.headers["X-Generation-Id"])["cost"] == listed
    finally:
        own.sql("DELETE FROM billing_markup")


def is_charged(client: Client, answer: httpx.Response, amount: int) -> httpx.Response | None:
    """The catalogue's changes take a moment."""
    return answer if client.row(answer.headers["X-Generation-Id"])["charge"] == amount else None


def test_a_price_that_changes_meanwhile_is_for_the_next_request(
    own: Product, client: Client, script: Upstream, provider: Upstream
) -> None:
    own.import_catalogue(catalogue(provider.url))
    old = 10 * PROMPT + 4 * COMPLETION
    until(lambda: is_charged(client, client.ask("acme/timed"), old))
    answers: list[httpx.Response] = []
    script.script("timed", [*text_stream()[:2], {"sleep": 6}, *text_stream()[2:]])
    asking = threading.Thread(target=lambda: answers.append(client.ask("acme/timed", stream=True)))
    asking.start()
    until(lambda: own.sql("SELECT count(*) FROM billing_hold") == [(1,)])
    own.import_catalogue(catalogue(provider.url, timed='prompt: "0.01", completion: "0.02"'))
    asking.join()
    script.reset()
    assert client.row(answers[0].headers["X-Generation-Id"])["charge"] == old
    until(lambda: is_charged(client, client.ask("acme/timed"), old * 10_000))


# Who is metered only


@pytest.mark.parametrize("stream", [False, True])
def test_who_is_metered_only_is_never_refused_for_credit(own: Product, script: Upstream, stream: bool) -> None:
    metered = Client(own, own.issue_key(f"metered{stream}@example.com", None))
    own.sql("INSERT INTO billing_wallet (organization_id) VALUES (%s)", (organization(own, metered),))
    assert metered.ask("acme/one", stream=stream).status_code == 402
    own.sql("UPDATE billing_wallet SET billing = 'unlimited' WHERE organization_id = %s", (organization(own, metered),))
    counted = usage(3_000, 2_000)
    script.script("one", text_stream(usage=counted) if stream else [text_reply(usage=counted)])
    row = metered.row(metered.ask("acme/one", stream=stream).headers["X-Generation-Id"])
    assert (row["charge"], row["write_off"]) == (3_000 * PROMPT + 2_000 * COMPLETION, 0)
    own.sql("UPDATE accounts_apikey SET limit_nano = 1 WHERE label = %s", (metered.data("/key")["label"],))
    refused = until(lambda: (found := metered.ask("acme/one", stream=stream)).status_code == 402 and found)
    assert refused.json()["error"]["metadata"]["limit_source"] == "openrouter_key_limit"


# Money that leaves meanwhile

REFUNDS = """
from accounts.models import Organization
from billing import ledger
from billing.errors import NotRefundable
organization = Organization.objects.get(pk="{id}")
taken = 0
for number in range(60):
    try:
        ledger.refund(organization, amount=7_000, reference=f"beside:{{number}}")
        taken += 7_000
    except NotRefundable:
        pass
print(taken)
"""


def test_refunds_beside_requests_take_no_more_than_is_free(own: Product, script: Upstream) -> None:
    client = Client(own, own.issue_key("beside@example.com", "0.001"))
    id = organization(own, client)
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            assert client.ask("acme/one", stream=True, max_tokens=200).status_code in (200, 402)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    taken = int(own.manage("shell", "-c", REFUNDS.format(id=id)).stdout.split()[-1])
    is_over.set()
    for thread in asking:
        thread.join()
    [(credit, spent, held)] = own.sql(
        "SELECT credit, spent, held FROM billing_wallet WHERE organization_id = %s", (id,)
    )
    assert (taken > 0, spent > 0, held) == (True, True, 0)
    assert credit == 1_000_000 - taken >= spent
    # No moment is told apart afterwards, but a wallet that was ever below zero has lost credit by its write-offs.
    assert own.sql("SELECT sum(write_off) FROM billing_generation WHERE organization_id = %s", (id,)) == [(0,)]


# Clients that leave


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_at_any_moment_leaves_no_hold_and_one_record(own: Product, script: Upstream, stream: bool) -> None:
    client = Client(own, own.issue_key(f"leaves{stream}@example.com", "1"))
    pauses = [step for part in text_stream() for step in ({"sleep": 0.02}, part)]
    script.script("one", pauses if stream else [{"sleep": 0.1}, text_reply()])

    def leave(after: float) -> None:
        with suppress(httpx.TransportError):
            client.http.post("/chat/completions", json=client.body("acme/one", stream=stream), timeout=after)

    for after in [0.001, *(0.01 * number for number in range(1, 30))]:
        leave(after)
    # Nobody ticks here: what is closed was closed by who held it.
    until(lambda: own.sql("SELECT count(*) FROM billing_hold") == [(0,)])
    of_these = "FROM billing_generation WHERE organization_id = %s"
    id = (organization(own, client),)
    charges = own.sql(f"SELECT outcome, charge {of_these}", id)
    assert {outcome for outcome, _ in charges} >= {"cancelled"}
    assert {charge for outcome, charge in charges if outcome == "ok"} <= {10 * PROMPT + 4 * COMPLETION}
    assert stream or {charge for outcome, charge in charges if outcome == "cancelled"} == {0}
    assert client.spent() == sum(charge for _, charge in charges)


def test_who_leaves_after_a_large_body_is_noticed_at_once(own: Product, script: Upstream) -> None:
    client = Client(own, own.issue_key("large@example.com", "1"))
    script.script("one", [{"sleep": 30}, text_reply()])
    body = b" " * 900_000 + json.dumps(client.body("acme/one")).encode()
    with suppress(httpx.TransportError):
        client.http.post("/chat/completions", content=body, timeout=0.5)
    outcome = "SELECT outcome FROM billing_generation WHERE organization_id = %s"
    until(lambda: own.sql(outcome, (organization(own, client),)) == [("cancelled",)])


# Midnight


@pytest.mark.parametrize(
    ("window", "counter", "period"),
    [("daily", "used_day", "day"), ("weekly", "used_week", "week"), ("monthly", "used_month", "month")],
)
def test_at_midnight_a_limit_begins_anew_and_what_is_open_counts_in_the_new_period(
    own: Product, script: Upstream, window: str, counter: str, period: str
) -> None:
    client = Client(own, own.issue_key(f"{window}@example.com", "1"))
    label = client.data("/key")["label"]
    [(id,)] = own.sql("SELECT id FROM accounts_apikey WHERE label = %s", (label,))
    own.sql("UPDATE accounts_apikey SET limit_nano = 200000, limit_reset = %s WHERE id = %s", (window, id))
    until(lambda: client.data("/key")["limit"] == 0.0002)
    script.script("one", [text_reply(usage=usage(100, 30))])
    assert client.ask("acme/one", max_tokens=16).status_code == 200
    assert nano(client.data("/key")["limit_remaining"]) == 40_000
    until(lambda: client.ask("acme/one", max_tokens=16).status_code == 402)
    # The day changes while a request is open.
    own.sql(f"UPDATE billing_budget SET {period} = {period} - 31 WHERE id = %s", (id,))
    assert nano(client.data("/key")["limit_remaining"]) == 200_000
    script.script("one", [{"sleep": 1.5}, text_reply(usage=usage(100, 30))])
    asking = threading.Thread(target=client.ask, args=("acme/one",), kwargs={"max_tokens": 40})
    asking.start()
    until(lambda: own.sql("SELECT held > 0 FROM billing_budget WHERE id = %s", (id,)) == [(True,)])
    own.sql(f"UPDATE billing_budget SET {period} = {period} - 31 WHERE id = %s", (id,))
    # It still binds what is free.
    refused = client.ask("acme/one", max_tokens=60, messages=[{"role": "user", "content": "x" * 150}])
    assert refused.json()["error"]["metadata"]["reason"] == "in_flight_budget_exhausted"
    asking.join()
    assert own.sql(f"SELECT {counter}, used, held FROM billing_budget WHERE id = %s", (id,)) == [(160_000, 320_000, 0)]


# Our cost of what a process leaves behind


@pytest.mark.slow
def test_what_expires_costs_us_the_list_price(own: Product, script: Upstream) -> None:
    client = Client(own, own.issue_key("expires@example.com", "1"))
    row = organization(own, client), "acme/one", 1_000_000
    own.sql("INSERT INTO billing_markup (organization_id, model, millionths) VALUES (%s, %s, %s)", row)
    doubled = 2 * (10 * PROMPT + 4 * COMPLETION)
    until(lambda: is_charged(client, client.ask("acme/one"), doubled))
    script.script("one", [chunk({"content": "Hello" * 8}), {"stall": True}])
    with client.http.stream("POST", "/chat/completions", json=client.body("acme/one", stream=True)) as answer:
        # Kept: without it the client would hang up.
        lines = answer.iter_lines()
        next(lines)
        noted = "SELECT progress, cost FROM billing_hold WHERE cost > 0"
        rows = until(lambda: own.sql(noted), 25)
        own.kill()
    [(progress, cost)] = rows
    assert progress == 2 * cost
    own.sql("UPDATE billing_tick SET value = value + 13")
    own.sql("SELECT till_expire()")
    own.sql("DELETE FROM billing_markup")
    own.start()
    closed = client.row(answer.headers["X-Generation-Id"])
    assert (closed["outcome"], closed["charge"], closed["cost"]) == ("expired", progress, cost)
