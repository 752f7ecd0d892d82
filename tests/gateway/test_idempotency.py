"""Idempotency-Key: one charge, and the same answer for who asks again."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from accounts.ids import uuid7
from tests.gateway.conftest import catalogue
from tests.services import Product
from tests.sse import events
from tests.upstream import Upstream, chunk, failure, text_reply, text_stream
from tests.waiting import until

pytestmark = pytest.mark.thorough

Ask = Callable[..., httpx.Response]
SECRET = "nobody but the client may read this"


@pytest.fixture
def key(shared: Product) -> str:
    return shared.issue_key("once@example.com", "1")


@pytest.fixture
def ask(shared: Product, key: str, script: Upstream, request: pytest.FixtureRequest) -> Ask:
    def post(name: str | None = None, content: str = "Hi", **fields: Any) -> httpx.Response:
        body = {"model": "acme/one", "messages": [{"role": "user", "content": content}], **fields}
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name or request.node.name}
        return httpx.post(f"{shared.url}/api/v1/chat/completions", json=body, headers=headers, timeout=30)

    return post


def generations(shared: Product) -> int:
    query = "SELECT count(*) FROM billing_generation g JOIN accounts_membership m USING (organization_id)"
    query += " JOIN accounts_user u ON u.id = m.user_id WHERE email = 'once@example.com'"
    return int(shared.sql(query)[0][0])


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_answer_comes_again_and_is_charged_once(
    shared: Product, ask: Ask, script: Upstream, stream: bool
) -> None:
    steps = text_stream(SECRET) if stream else [text_reply(SECRET)]
    script.script("one-primary", steps)
    before = generations(shared)
    first = ask(stream=stream)
    again = [ask(stream=stream) for _ in range(3)]
    assert first.status_code == 200
    assert "Idempotent-Replayed" not in first.headers
    for one in again:
        assert one.content == first.content
        assert one.headers["X-Generation-Id"] == first.headers["X-Generation-Id"]
        assert one.headers["Content-Type"] == first.headers["Content-Type"]
        assert one.headers["Idempotent-Replayed"] == "true"
    if stream:
        assert events(again[0])[-1] == "[DONE]"
        assert events(again[0])[-2]["usage"]["cost"] > 0
    assert len(script.seen()) == 1
    assert generations(shared) == before + 1
    stored = shared.sql("SELECT answer FROM billing_idempotency WHERE answer IS NOT NULL")
    assert stored
    assert not any("nobody" in answer for (answer,) in stored)


def test_another_body_is_409(ask: Ask, script: Upstream) -> None:
    assert ask().status_code == 200
    response = ask(content="Something else")
    assert response.status_code == 409
    assert "another body" in response.json()["error"]["message"]
    assert len(script.seen()) == 1


def test_the_same_name_for_a_stream_or_at_another_path_is_409(shared: Product, ask: Ask, key: str) -> None:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "kinds"}
    statuses = [
        httpx.post(f"{shared.url}/api/v1{path}", json={**body, **more}, headers=headers, timeout=30).status_code
        for path, more in (("/chat/completions", {}), ("/chat/completions", {"stream": True}), ("/messages", {}))
    ]
    assert statuses == [200, 409, 409]


def test_of_many_at_once_one_is_carried_out_and_charged(shared: Product, ask: Ask, script: Upstream) -> None:
    script.script("one-primary", [{"sleep": 0.5}, text_reply()])
    before, answers = generations(shared), []
    asking = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(12)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {answer.content for answer in answers if answer.status_code == 200} == {ask().content}
    assert len(script.seen()) == 1
    assert generations(shared) == before + 1


def test_other_names_and_other_keys_are_others(shared: Product, ask: Ask, alice: str, script: Upstream) -> None:
    ask("a")
    ask("b")
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {alice}", "Idempotency-Key": "a"}
    assert httpx.post(f"{shared.url}/api/v1/chat/completions", json=body, headers=headers).status_code == 200
    assert len(script.seen()) == 3


def test_while_the_first_is_running_it_is_409_with_retry_after(ask: Ask, script: Upstream) -> None:
    script.script("one-primary", [{"sleep": 1.5}, text_reply()])
    answers: list[httpx.Response] = []
    first = threading.Thread(target=lambda: answers.append(ask()))
    first.start()
    until(lambda: script.seen())
    response = ask()
    first.join()
    assert response.status_code == 409
    assert int(response.headers["Retry-After"]) >= 1
    assert ask().content == answers[0].content
    assert len(script.seen()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_finds_its_answer(
    shared: Product, ask: Ask, key: str, script: Upstream, stream: bool
) -> None:
    answer = text_stream("later") if stream else [text_reply("later")]
    script.script("one-primary", [{"sleep": 1.0}, *answer])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"left-{stream}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{shared.url}/api/v1/chat/completions", json=body, headers=headers, timeout=0.4)
    found = until(lambda: (one := ask(f"left-{stream}", stream=stream)).status_code == 200 and one)
    assert "later" in found.text
    assert len(script.seen()) == 1
    newest = "SELECT outcome, charge > 0 FROM billing_generation ORDER BY id DESC LIMIT 1"
    assert shared.sql(newest) == [("ok", True)]
    assert shared.sql("SELECT count(*) FROM billing_hold") == [(0,)]


def test_a_client_that_leaves_in_mid_stream_finds_all_of_it(
    shared: Product, ask: Ask, key: str, script: Upstream
) -> None:
    script.script("one-primary", [chunk({"content": "begin"}), {"sleep": 0.5}, *text_stream("end")])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "mid"}
    url = f"{shared.url}/api/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers) as response:
        assert next(response.iter_lines())
    found = until(lambda: (one := ask("mid", stream=True)).status_code == 200 and one)
    assert "begin" in found.text
    assert events(found)[-1] == "[DONE]"


def test_a_process_that_ends_frees_what_it_cannot_answer_any_more(
    product: Callable[..., Product], script: Upstream
) -> None:
    """Nobody waits for it in this process: neither uvicorn nor a client."""
    found = product(catalogue=catalogue(script.url))
    token = found.issue_key()
    script.script("one-primary", [{"stall": True}])
    script.script("three-primary", [chunk({"content": "begin"}), {"stall": True}])

    def ask(model: str, patience: float) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": model}
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": model == "acme/three"}
        body["provider"] = {"only": ["primary"]}
        return httpx.post(f"{found.url}/api/v1/chat/completions", json=body, headers=headers, timeout=patience)

    for model in ("acme/one", "acme/three"):
        with pytest.raises(httpx.ReadTimeout):
            ask(model, 0.4)
    assert found.sql("SELECT count(*) FROM billing_hold") == [(2,)]
    found.stop()
    assert found.sql("SELECT count(*) FROM billing_hold") == [(0,)]
    assert found.sql("SELECT charge FROM billing_generation") == [(0,), (0,)]
    found.start()
    script.reset()
    assert [ask(model, 30).status_code for model in ("acme/one", "acme/three")] == [200, 200]


def test_a_failed_request_may_be_tried_again(ask: Ask, script: Upstream) -> None:
    script.script("one-primary", failure(500))
    assert ask().status_code == 502
    script.script("one-primary", [text_reply()])
    assert ask().status_code == 200
    assert len(script.seen()) == 2


def test_a_refused_request_may_be_tried_again(shared: Product, script: Upstream) -> None:
    poor = shared.issue_key("once-poor@example.com", None)
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {poor}", "Idempotency-Key": "poor"}
    url = f"{shared.url}/api/v1/chat/completions"
    assert httpx.post(url, json=body, headers=headers).status_code == 402
    shared.issue_key("once-poor@example.com", "1")
    assert httpx.post(url, json=body, headers=headers).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_too_large_is_charged_once_and_not_kept(ask: Ask, script: Upstream, stream: bool) -> None:
    text = "x" * 300_000
    script.script("one-primary", text_stream(text) if stream else [text_reply(text)])
    assert len(ask(stream=stream).text) > 300_000
    response = ask(stream=stream)
    assert response.status_code == 409
    assert "256 KiB" in response.json()["error"]["message"]
    assert len(script.seen()) == 1


def test_after_a_day_it_is_forgotten_and_pruned(shared: Product, ask: Ask, script: Upstream) -> None:
    ask()
    shared.sql("UPDATE billing_idempotency SET closed_at = now() - interval '25 hours'")
    assert "Idempotent-Replayed" not in ask().headers
    assert len(script.seen()) == 2
    shared.sql("UPDATE billing_idempotency SET closed_at = now() - interval '25 hours'")
    shared.manage("shell", "-c", "from billing.tasks import prune; prune()")
    assert shared.sql("SELECT count(*) FROM billing_idempotency") == [(0,)]


def test_a_hold_that_expires_costs_nothing_and_frees_the_mark(shared: Product, ask: Ask, script: Upstream) -> None:
    assert ask().status_code == 200
    [(mark,)] = shared.sql("SELECT id FROM billing_idempotency ORDER BY created_at DESC LIMIT 1")
    shared.sql(
        "INSERT INTO billing_hold (generation, organization_id, wallet_amount, list_amount, progress, due_tick,"
        " budgets, record, idempotency) SELECT %s, organization_id, 0, 0, 77, 0, '{}', '{}', id"
        " FROM billing_idempotency WHERE id = %s",
        (uuid7(), mark),
    )
    shared.sql("UPDATE billing_idempotency SET closed_at = NULL, answer = NULL WHERE id = %s", (mark,))
    shared.sql("SELECT till_expire()")
    assert shared.sql("SELECT count(*) FROM billing_idempotency WHERE id = %s", (mark,)) == [(0,)]
    assert shared.sql("SELECT charge FROM billing_generation WHERE outcome = 'expired'") == [(0,)]


def test_a_name_that_is_too_long_is_400(ask: Ask) -> None:
    response = ask("x" * 256)
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json()["error"]["message"]
