"""POST /api/v1/chat/completions, not streamed."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.services import Product
from tests.upstream import ANSWER, Upstream, chunk, failure, text_reply, text_stream

Ask = Callable[..., httpx.Response]


def test_answers_with_the_upstreams_text_usage_and_cost(ask: Ask, script: Upstream) -> None:
    response = ask()
    assert response.status_code == 200
    body = response.json()
    assert body["id"] == response.headers["X-Generation-Id"]
    assert body["id"].startswith("gen-")
    assert body["model"] == "acme/one"
    assert body["provider"] == "Primary"
    assert body["system_fingerprint"] is None
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "refusal": None, "reasoning": None}
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "stop")
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 4, 14)
    # 10 prompt tokens at $1 and 4 completion tokens at $2 a million
    assert usage["cost"] == pytest.approx(0.000018, abs=1e-12)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


def test_cached_tokens_cost_their_own_price(ask: Ask, script: Upstream) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 900}}
    script.script("one-primary", [text_reply(usage=usage)])
    found = ask().json()["usage"]
    assert found["prompt_tokens_details"]["cached_tokens"] == 900
    assert found["cost"] == pytest.approx(100 * 1e-6 + 900 * 1e-7 + 2e-6, abs=1e-12)


def test_sends_upstream_what_is_the_providers_and_nothing_of_ours(ask: Ask, script: Upstream) -> None:
    ask(temperature=0.5, top_k=3, provider={"order": ["primary"]}, session_id="s", made_up=1, max_tokens=7, seed=None)
    seen = script.seen()[0]
    assert seen["headers"]["authorization"] == "Bearer sk-primary-secret-key"
    assert seen["body"] == {
        "model": "one-primary",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 7,
    }


def test_caps_the_output_at_what_the_endpoint_allows(ask: Ask, script: Upstream) -> None:
    ask()
    assert script.seen()[0]["body"]["max_tokens"] == 1024


def test_tool_calls_pass_and_say_so_in_the_finish_reason(ask: Ask, script: Upstream) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    reply = text_reply(finish="stop")
    reply["reply"]["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    script.script("one-primary", [reply])
    choice = ask(tools=[{"type": "function", "function": {"name": "f"}}]).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [call]
    assert choice["message"]["content"] is None


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls", "content_filter", "eos", "weird", ""])
def test_finish_reasons_are_normalised_and_never_empty(ask: Ask, script: Upstream, finish: str) -> None:
    script.script("one-primary", [text_reply(finish=finish)])
    found = ask().json()["choices"][0]["finish_reason"]
    assert found == (finish if finish in ("length", "tool_calls", "content_filter") else "stop")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"provider": {"order": "primary"}}, "provider.order"),
        ({"models": [1]}, "models"),
        ({"stream": "yes"}, "stream"),
        ({"session_id": "x" * 300}, "session_id"),
    ],
)
def test_a_bad_field_is_named(api: httpx.Client, fields: dict[str, Any], said: str) -> None:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], **fields}
    response = api.post("/chat/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == 400
    assert said in error["message"]
    assert error["metadata"]["error_type"] == "invalid_request"


BROKEN_TOOLS = b'{"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "\xff"}]}'


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"model": "acme/one"}', b"[" * 100_000, BROKEN_TOOLS]
)
def test_a_body_that_is_no_request_is_400(api: httpx.Client, body: bytes) -> None:
    response = api.post("/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_unknown_model_is_400(ask: Ask) -> None:
    response = ask(model="acme/none")
    assert response.status_code == 400
    error = response.json()["error"]
    assert "acme/none is not a valid model ID" in error["message"]
    assert error["availability"]["code"] == "model_not_found"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_another_method_is_405_in_the_envelope(api: httpx.Client, method: str) -> None:
    response = api.request(method, "/chat/completions")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == 405
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    "head", [b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nx: \0\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_what_is_not_http_is_400_in_the_envelope(shared: Product, head: bytes) -> None:
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(head)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    status, _, body = answer.partition(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == 400


def test_a_body_beyond_32_mib_is_413(api: httpx.Client) -> None:
    response = api.post("/chat/completions", content=b" " * (32 * 2**20 + 1))
    assert response.status_code == 413
    assert response.json()["error"]["metadata"]["error_type"] == "payload_too_large"


def test_an_unknown_path_is_404_in_the_envelope(api: httpx.Client) -> None:
    response = api.get("/no/such/thing")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == 404


def test_a_large_body_with_an_image_goes_through(ask: Ask, script: Upstream) -> None:
    url = "data:image/png;base64," + "A" * 8_000_000
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    response = ask(messages=[{"role": "user", "content": parts}])
    assert response.status_code == 200
    assert script.seen()[0]["body"]["messages"][0]["content"] == parts


def test_the_cost_is_what_credits_and_key_say_was_used(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    before = api.get("/credits").json()["data"]["total_usage"]
    key_before = api.get("/key").json()["data"]["usage"]
    cost = ask().json()["usage"]["cost"]
    assert api.get("/credits").json()["data"]["total_usage"] - before == pytest.approx(cost, abs=1e-12)
    assert api.get("/key").json()["data"]["usage_daily"] - key_before == pytest.approx(cost, abs=1e-12)


def test_the_generation_is_there_at_once(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    answer = ask(user="u-1", session_id="s-1").json()
    found = api.get("/generation", params={"id": answer["id"]}).json()["data"]
    assert found["total_cost"] == answer["usage"]["cost"]
    assert (found["model"], found["provider_name"], found["streamed"]) == ("acme/one", "Primary", False)
    assert (found["native_tokens_prompt"], found["native_tokens_completion"]) == (10, 4)
    assert (found["external_user"], found["session_id"]) == ("u-1", "s-1")
    assert [(one["provider_name"], one["status"]) for one in found["provider_responses"]] == [("Primary", 200)]


def test_a_failed_generation_costs_nothing_and_is_recorded(
    api: httpx.Client, ask: Ask, script: Upstream, shared: Product
) -> None:
    script.script("one-primary", failure(500))
    before = api.get("/credits").json()["data"]["total_usage"]
    response = ask()
    assert response.status_code == 502
    assert api.get("/credits").json()["data"]["total_usage"] == before
    found = api.get("/generation", params={"id": response.headers["X-Generation-Id"]}).json()["data"]
    assert found["total_cost"] == 0
    assert found["provider_responses"][0]["status"] == 500
    assert shared.sql("SELECT count(*) FROM billing_hold") == [(0,)]


def test_secrets_are_nowhere(ask: Ask, script: Upstream, shared: Product, alice: str) -> None:
    script.script("one-primary", failure(401, "bad key sk-primary-secret-key"))
    response = ask()
    assert response.status_code == 502
    assert "secret" not in response.text
    assert alice not in shared.log
    assert "sk-primary-secret-key" not in shared.log


@pytest.mark.parametrize("tokens", [10**6, 3 * 10**9, 10**18, 10**30])
@pytest.mark.parametrize("stream", [False, True])
def test_impossible_usage_is_not_believed(
    ask: Ask, api: httpx.Client, script: Upstream, tokens: int, stream: bool
) -> None:
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    script.script("one-primary", text_stream(usage=usage) if stream else [text_reply(usage=usage)])
    response = ask(stream=stream)
    assert response.status_code == 200
    id = response.headers["X-Generation-Id"]
    found = api.get("/generation", params={"id": id}).json()["data"]
    assert (found["finish_reason"], found["native_tokens_completion"]) == (
        "stop",
        len(ANSWER.replace(" ", "")) // 4 + 1,
    )
    assert found["total_cost"] < 0.0001


@pytest.mark.parametrize("stream", [False, True])
def test_the_providers_key_is_in_no_answer(ask: Ask, api: httpx.Client, script: Upstream, stream: bool) -> None:
    echo = "you sent authorization: Bearer sk-primary-secret-key"
    script.script("one-primary", failure(500, echo))
    response = ask(stream=stream)
    assert response.status_code == 502
    assert "[key]" in response.text
    assert "secret" not in response.text
    script.script("one-primary", [chunk({"content": "a"}), {"chunk": {"error": {"message": echo}}}])
    assert "secret" not in ask(stream=True).text
