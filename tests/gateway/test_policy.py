"""What is charged when (docs/billing.md), row by row through the API, exact to the nano-dollar.

Everything that tells of a charge must say the same: the answer, its record, /generation, /credits and /key.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from billing.generations import public_id
from tests.gateway.charged import Client, ending, nano, usage
from tests.services import Product, Servers, running
from tests.upstream import Step, Upstream, chunk, failure, text_reply, text_stream
from tests.waiting import until

pytestmark = pytest.mark.thorough

# nano-USD a token or unit, all different so that a wrong one shows.
PROMPT, COMPLETION, REQUEST = 1_000, 2_000, 10_000
READ, WRITE, REASONING, AUDIO, SPOKEN, SEEN, DRAWN_TOKEN, IMAGE, DRAWN = (
    100,
    1_250,
    3_000,
    7,
    11,
    500,
    13,
    17_000,
    19_000,
)
LONG_PROMPT, LONG_READ = 4_000, 400
ALL = (
    'prompt: "0.000001", completion: "0.000002", request: "0.00001", input_cache_read: "0.0000001",'
    ' input_cache_write: "0.00000125", internal_reasoning: "0.000003", audio: "0.000000007",'
    ' audio_output: "0.000000011", image_token: "0.0000005", image_output_token: "0.000000013",'
    ' image: "0.000017", image_output: "0.000019"'
)
LONG = '{min_prompt_tokens: 1000, prompt: "0.000004", input_cache_read: "0.0000004"}'
MODELS = {
    "acme/all": {"first": f"{ALL}, overrides: [{LONG}]"},
    "acme/two": {"first": f"{ALL}", "second": 'prompt: "0.000005", completion: "0.000007"'},
    "acme/off": {"first": f'{ALL}, discount: "0.25"'},
    "acme/free": {"first": 'prompt: "0", completion: "0"'},
}


def catalogue(url: str) -> str:
    lines = ["providers:"]
    lines += [
        f'  - {{slug: {name}, name: {name.title()}, wire: openai, base_url: "{url}", api_key: sk-{name}-0123456789}}'
        for name in ("first", "second")
    ]
    lines.append("models:")
    for slug, offers in MODELS.items():
        lines.append(f"  - {{slug: {slug}, name: {slug}, context_length: 8192, input_modalities: [text, image, audio],")
        lines.append("     output_modalities: [text, image, audio], endpoints: [")
        lines += [
            f"       {{provider: {name}, tag: {name}, upstream_model: {slug[5:]}-{name}, prices: {{{prices}}}}},"
            for name, prices in offers.items()
        ]
        lines.append("     ]}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def own(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url)) as product:
        yield product


@pytest.fixture(scope="module")
def client(own: Product) -> Client:
    return Client(own, own.issue_key("alice@example.com", "100"))


# An answer: what the provider counted, each kind at its own price

COUNTED: dict[str, tuple[dict[str, Any], int]] = {
    "tokens": (usage(10, 4), 10 * PROMPT + 4 * COMPLETION),
    "cached": (usage(100, 4, {"cached_tokens": 60}), 40 * PROMPT + 60 * READ + 4 * COMPLETION),
    "written to a cache": (
        usage(100, 4, {"cached_tokens": 20, "cache_write_tokens": 50}),
        30 * PROMPT + 20 * READ + 50 * WRITE + 4 * COMPLETION,
    ),
    "reasoning": (usage(10, 30, None, {"reasoning_tokens": 20}), 10 * PROMPT + 10 * COMPLETION + 20 * REASONING),
    "audio": (
        usage(100, 50, {"audio_tokens": 90}, {"audio_tokens": 40}),
        10 * PROMPT + 90 * AUDIO + 10 * COMPLETION + 40 * SPOKEN,
    ),
    "tokens of images": (
        usage(100, 50, {"image_tokens": 80}, {"image_tokens": 30}),
        20 * PROMPT + 80 * SEEN + 20 * COMPLETION + 30 * DRAWN_TOKEN,
    ),
    "a long prompt": (usage(1001, 4, {"cached_tokens": 1}), 1000 * LONG_PROMPT + LONG_READ + 4 * COMPLETION),
    "at the border": (usage(1000, 4), 1000 * PROMPT + 4 * COMPLETION),
    "parts beyond their whole": (
        usage(10, 4, {"cached_tokens": 50, "audio_tokens": 50}, {"reasoning_tokens": 9}),
        10 * READ + 4 * REASONING,
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", COUNTED)
def test_an_answer_costs_what_was_counted(client: Client, script: Upstream, name: str, stream: bool) -> None:
    counted, tokens = COUNTED[name]
    expected = tokens + REQUEST
    script.script("all-first", text_stream(usage=counted) if stream else [text_reply(usage=counted)])
    before = client.spent()
    answer = client.ask(stream=stream)
    told = ending(answer)
    assert nano(told["cost"]) == expected
    details = told["cost_details"]
    parts = details["upstream_inference_prompt_cost"] + details["upstream_inference_completions_cost"]
    assert nano(parts) == expected
    row = client.row(answer.headers["X-Generation-Id"])
    assert (row["charge"], row["cost"], row["is_estimated"], row["outcome"]) == (expected, expected, False, "ok")
    assert client.spent() - before == expected


def test_images_of_the_prompt_are_charged_by_number(client: Client, script: Upstream) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    answer = client.ask(messages=[{"role": "user", "content": [part, part, {"type": "text", "text": "?"}]}])
    assert client.row(answer.json()["id"])["charge"] == 10 * PROMPT + 4 * COMPLETION + REQUEST + 2 * IMAGE


def test_images_of_the_answer_are_charged_by_number(client: Client, script: Upstream) -> None:
    reply = text_reply()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    reply["reply"]["choices"][0]["message"]["images"] = [image, image]
    script.script("all-first", [reply])
    answer = client.ask(modalities=["text", "image"])
    assert client.row(answer.json()["id"])["charge"] == 10 * PROMPT + 4 * COMPLETION + REQUEST + 2 * DRAWN


def test_an_answer_that_was_cut_is_charged_as_any_other(client: Client, script: Upstream) -> None:
    script.script("all-first", [text_reply(finish="length")])
    answer = client.ask(max_tokens=4)
    assert client.row(answer.json()["id"])["charge"] == 10 * PROMPT + 4 * COMPLETION + REQUEST


def test_a_discount_is_off_every_price(client: Client, script: Upstream) -> None:
    answer = client.ask("acme/off")
    assert client.row(answer.json()["id"])["charge"] == (10 * PROMPT + 4 * COMPLETION + REQUEST) * 3 // 4


def test_free_costs_nothing(client: Client, script: Upstream) -> None:
    row = client.row(client.ask("acme/free").json()["id"])
    assert (row["charge"], row["cost"], row["prompt_tokens"]) == (0, 0, 10)


# No count, or one that cannot be


@pytest.mark.parametrize("counted", [None, usage(10**7, 10**7)])
@pytest.mark.parametrize("stream", [False, True])
def test_without_a_count_it_is_estimated(
    client: Client, script: Upstream, counted: dict[str, Any] | None, stream: bool
) -> None:
    script.script("all-first", text_stream(usage=counted) if stream else [text_reply(usage=counted)])
    answer = client.ask(stream=stream)
    row = client.row(answer.headers["X-Generation-Id"])
    assert row["is_estimated"]
    assert row["charge"] == row["prompt_tokens"] * PROMPT + row["completion_tokens"] * COMPLETION + REQUEST
    assert (5 < row["prompt_tokens"] < 100, 3 < row["completion_tokens"] < 8) == (True, True)


# Nothing for the client: failed, empty, refused


def nothing(client: Client, response: httpx.Response, *, cost: int, outcome: str = "error") -> None:
    row = client.row(response.headers["X-Generation-Id"])
    assert (row["charge"], row["cost"], row["outcome"]) == (0, cost, outcome)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "steps", [failure(500), failure(400, "content policy"), [{"drop": True}], [{"status": 200, "reply": "no JSON"}]]
)
def test_a_failure_costs_nothing(client: Client, script: Upstream, steps: list[Step], stream: bool) -> None:
    script.script("all-first", steps)
    before = client.spent()
    nothing(client, client.ask(stream=stream), cost=0)
    assert client.spent() == before


def test_a_stream_that_breaks_off_costs_the_client_nothing_and_us_what_came(client: Client, script: Upstream) -> None:
    counted = {"chunk": {"id": "up-1", "choices": [], "usage": usage(10, 4)}}
    script.script("all-first", [chunk({"content": "Hello"}), counted, {"chunk": {"error": {"message": "broke"}}}])
    nothing(client, client.ask(stream=True), cost=10 * PROMPT + 4 * COMPLETION + REQUEST)


def test_an_answer_that_says_error_costs_nothing(client: Client, script: Upstream) -> None:
    script.script("all-first", [text_reply(finish="error")])
    nothing(client, client.ask(), cost=10 * PROMPT + 4 * COMPLETION + REQUEST, outcome="ok")


def test_nothing_without_a_word_why_costs_nothing(client: Client, script: Upstream) -> None:
    reply = text_reply("", usage=usage(10, 0))
    reply["reply"]["choices"][0]["finish_reason"] = None
    script.script("all-first", [reply])
    nothing(client, client.ask(), cost=10 * PROMPT + REQUEST, outcome="ok")


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_before_any_output_costs_nothing(client: Client, script: Upstream, stream: bool) -> None:
    counted = {"chunk": {"id": "up-1", "choices": [], "usage": usage(10, 0)}}
    streamed = [chunk({"content": ""}), chunk({}, "content_filter"), counted, {"done": True}]
    script.script("all-first", streamed if stream else [text_reply("", usage=usage(10, 0), finish="content_filter")])
    nothing(client, client.ask(stream=stream), cost=10 * PROMPT + REQUEST, outcome="ok")


def test_a_refusal_after_output_costs_what_was_counted(client: Client, script: Upstream) -> None:
    script.script("all-first", [text_reply("Well", finish="content_filter")])
    row = client.row(client.ask().json()["id"])
    assert row["charge"] == 10 * PROMPT + 4 * COMPLETION + REQUEST


def test_an_answer_that_ends_without_tokens_costs_its_prompt(client: Client, script: Upstream) -> None:
    script.script("all-first", [text_reply("", usage=usage(10, 0))])
    assert client.row(client.ask().json()["id"])["charge"] == 10 * PROMPT + REQUEST


# Several attempts


def test_the_client_pays_for_the_answer_and_we_for_every_attempt(
    client: Client, script: Upstream, own: Product
) -> None:
    counted = {"chunk": {"id": "up-1", "choices": [], "usage": usage(30, 0)}}
    script.script("two-first", [chunk({"role": "assistant"}), counted, {"chunk": {"error": {"message": "broke"}}}])
    answer = client.ask("acme/two", stream=True, provider={"order": ["first", "second"]})
    row = client.row(answer.headers["X-Generation-Id"])
    theirs, wasted = 10 * 5_000 + 4 * 7_000, 30 * PROMPT + REQUEST
    assert (row["charge"], row["cost"]) == (theirs, theirs + wasted)
    attempts = own.sql("SELECT attempts FROM billing_generation ORDER BY id DESC LIMIT 1")[0][0]
    assert [attempt["cost"] for attempt in attempts] == [wasted, theirs]


def test_when_all_fail_we_pay_for_what_they_counted(client: Client, script: Upstream) -> None:
    for name in ("first", "second"):
        counted = {"chunk": {"id": "up-1", "choices": [], "usage": usage(30, 0)}}
        script.script(f"two-{name}", [counted, {"chunk": {"error": {"message": "broke"}}}])
    nothing(client, client.ask("acme/two", stream=True), cost=30 * PROMPT + REQUEST + 30 * 5_000)


# Clients that leave, processes that die


def left(client: Client, script: Upstream, **fields: Any) -> str:
    """The id of a request that is given up when the provider has it and, of a stream, something has come."""
    with httpx.Client(base_url=client.http.base_url, headers=client.http.headers, timeout=30) as http:
        if fields.get("stream"):
            with http.stream("POST", "/chat/completions", json=client.body(**fields)) as answer:
                id = answer.headers["X-Generation-Id"]
                for line in answer.iter_lines():
                    if '"content":"Hello"' in line or (fields.get("silent") and line.startswith(":")):
                        break
            return str(id)
        with pytest.raises(httpx.ReadTimeout):
            http.post("/chat/completions", json=client.body(**fields), timeout=1)
    cancelled = "SELECT id FROM billing_generation WHERE outcome = 'cancelled' ORDER BY id DESC"
    return public_id(until(lambda: client.product.sql(cancelled), 10)[0][0])


def test_a_plain_request_that_is_left_costs_nothing(client: Client, script: Upstream) -> None:
    script.script("all-first", [{"stall": True}, text_reply()])
    row = client.row(left(client, script))
    assert (row["charge"], row["cost"], row["outcome"]) == (0, 0, "cancelled")


def test_a_stream_that_is_left_costs_what_was_produced(client: Client, script: Upstream) -> None:
    script.script("all-first", [chunk({"content": "Hello"}), {"stall": True}])
    row = client.row(left(client, script, stream=True))
    assert (row["outcome"], row["is_estimated"], row["completion_tokens"]) == ("cancelled", True, 2)
    assert row["charge"] == row["cost"] == row["prompt_tokens"] * PROMPT + 2 * COMPLETION + REQUEST


def test_a_stream_that_is_left_before_anything_came_costs_nothing(client: Client, script: Upstream) -> None:
    script.script("all-first", [{"stall": True}])
    row = client.row(left(client, script, stream=True, silent=True))
    assert (row["charge"], row["outcome"]) == (0, "cancelled")


@pytest.mark.parametrize(("noted", "charge"), [(None, 0), (5_000, 5_000)])
def test_what_a_process_leaves_behind_costs_what_was_noted(
    client: Client, script: Upstream, own: Product, noted: int | None, charge: int
) -> None:
    script.script("all-first", [chunk({"content": "Hello"}), {"stall": True}])
    with client.http.stream("POST", "/chat/completions", json=client.body(stream=True)) as answer:
        # Kept: without it the client would hang up.
        lines = answer.iter_lines()
        next(lines)
        own.kill()
    if noted is not None:
        own.sql(
            "SELECT till_touch(jsonb_build_array(jsonb_build_object('id', generation, 'progress', %s::bigint)))"
            " FROM billing_hold",
            (noted,),
        )
    own.sql("UPDATE billing_tick SET value = value + 13")
    own.sql("SELECT till_expire()")
    own.start()
    row = client.row(answer.headers["X-Generation-Id"])
    assert (row["charge"], row["outcome"], row["is_estimated"]) == (charge, "expired", True)


# More than was held


def test_what_exceeds_the_credit_is_written_off(own: Product, script: Upstream) -> None:
    poor = Client(own, own.issue_key("poor@example.com", "0.0005"))
    script.script("all-first", [text_reply(usage=usage(300, 200))])
    row = poor.row(poor.ask(max_tokens=16).json()["id"])
    used = 300 * PROMPT + 200 * COMPLETION + REQUEST
    assert (row["charge"], row["write_off"], row["cost"]) == (500_000, used - 500_000, used)
    assert nano(poor.data("/credits")["total_usage"]) == 500_000


# And all of it together


CHARGED = (
    "SELECT -sum(e.amount) FROM billing_ledgerentry e JOIN billing_ledgertransaction t ON t.id = transaction_id"
    " WHERE account = 'wallet' AND kind = 'usage' AND e.organization_id ="
    " (SELECT organization_id FROM accounts_apikey WHERE label = %s)"
)


def test_ledger_usage_and_activity_say_the_same(client: Client, script: Upstream, own: Product) -> None:
    client.ask()
    total = client.spent()
    own.sql("SELECT till_post()")
    assert own.sql(CHARGED, (client.data("/key")["label"],)) == [(total,)]
    own.sql("UPDATE billing_generation SET closed_at = closed_at - interval '1 day'")
    own.manage("shell", "-c", "from billing import tasks; tasks.usage()")
    management = Client(own, own.issue_key("alice@example.com", None, management=True))
    assert sum(nano(item["usage"]) for item in management.data("/activity")) == total
    assert "All checks passed." in own.manage("verify_ledger").stdout
    own.sql("UPDATE billing_generation SET closed_at = closed_at + interval '1 day'")
    own.sql("DELETE FROM billing_usagemark")
