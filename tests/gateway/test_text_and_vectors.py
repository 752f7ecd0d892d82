"""POST /api/v1/completions and /api/v1/embeddings, raw and through the official `openai` package."""

import base64
import struct
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.services import Product
from tests.sse import events
from tests.upstream import ANSWER, Upstream, chunk, failure, text_reply, text_stream

pytestmark = pytest.mark.thorough

TEXT: dict[str, Any] = {"model": "acme/one", "prompt": "Hi"}
VECTORS = {"model": "acme/vectors", "input": ["a", "b"]}
NUMBERS = [[0.5, -1.0], [2.0, 0.25]]


def vectors(encoded: bool = False, *, count: int = 2) -> list[dict[str, Any]]:
    def vector(numbers: list[float]) -> Any:
        return base64.b64encode(struct.pack("<2f", *numbers)).decode() if encoded else numbers

    data = [{"object": "embedding", "index": at, "embedding": vector(NUMBERS[at])} for at in range(count)]
    return [{"reply": {"object": "list", "data": data, "usage": {"prompt_tokens": 1000, "total_tokens": 1000}}}]


# Completions


def test_a_prompt_is_answered_with_text(api: httpx.Client, script: Upstream) -> None:
    response = api.post("/completions", json={**TEXT, "max_tokens": 9, "stop": ["x"]})
    body = response.json()
    choice = body["choices"][0]
    assert (body["object"], choice["text"], choice["finish_reason"]) == ("text_completion", ANSWER, "stop")
    assert body["usage"]["cost"] == pytest.approx(0.000018, abs=1e-12)
    assert body["id"] == response.headers["X-Generation-Id"]
    sent = script.seen()[0]["body"]
    assert (sent["messages"], sent["max_tokens"]) == ([{"role": "user", "content": "Hi"}], 9)


def test_a_prompt_at_the_chats_path_is_answered_with_text(api: httpx.Client, script: Upstream) -> None:
    body = api.post("/chat/completions", json=TEXT).json()
    assert body["choices"][0]["text"] == ANSWER


def test_text_is_streamed(api: httpx.Client, script: Upstream) -> None:
    *chunks, usage, done = events(api.post("/completions", json={**TEXT, "stream": True}))
    assert done == "[DONE]"
    assert "".join(one["choices"][0]["text"] for one in chunks) == ANSWER.replace(" ", "")
    assert (usage["choices"][0]["finish_reason"], usage["usage"]["total_tokens"]) == ("stop", 14)


def test_logprobs_have_the_older_shape(api: httpx.Client, script: Upstream) -> None:
    tokens = [{"token": "He", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Ha", "logprob": -1.0}]}]
    reply = text_reply()
    reply["reply"]["choices"][0]["logprobs"] = {"content": tokens, "refusal": None}
    script.script("one-primary", [reply])
    found = api.post("/completions", json={**TEXT, "logprobs": 1}).json()["choices"][0]["logprobs"]
    assert found == {"tokens": ["He"], "token_logprobs": [-0.5], "top_logprobs": [{"Ha": -1.0}], "text_offset": [0]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"temperature": "hot"}, "temperature"),
        ({"model": None}, "model"),
    ],
)
def test_a_bad_field_of_a_prompt_is_named(api: httpx.Client, fields: dict[str, Any], said: str) -> None:
    response = api.post("/completions", json={**TEXT, **fields})
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]


def test_the_sdk_completes(sdk: OpenAI, script: Upstream) -> None:
    assert sdk.completions.create(**TEXT).choices[0].text == ANSWER
    text = "".join(one.choices[0].text for one in sdk.completions.create(**TEXT, stream=True))
    assert text == ANSWER.replace(" ", "")
    script.script(
        "one-primary", [*text_stream()[:2], {"sleep": 0.2}, {"chunk": {"error": {"message": "it fell over"}}}]
    )
    with pytest.raises(openai.APIError, match="it fell over"):
        list(sdk.completions.create(**TEXT, stream=True))


async def test_the_sdk_completes_async(async_sdk: AsyncOpenAI, script: Upstream) -> None:
    assert (await async_sdk.completions.create(**TEXT)).choices[0].text == ANSWER
    stream = await async_sdk.completions.create(**TEXT, stream=True)
    assert "".join([one.choices[0].text async for one in stream]) == ANSWER.replace(" ", "")
    script.script("one-primary", failure(500))
    with pytest.raises(openai.InternalServerError):
        await async_sdk.completions.create(**TEXT)


def test_reasoning_beside_text(api: httpx.Client, script: Upstream) -> None:
    script.script(
        "one-primary", [chunk({"reasoning_content": "hm"}), chunk({"content": "yes"}, "stop"), {"done": True}]
    )
    first, *_ = events(api.post("/completions", json={**TEXT, "stream": True}))
    assert (first["choices"][0]["reasoning"], first["choices"][0]["text"]) == ("hm", "")


# Embeddings


def test_texts_become_vectors_and_their_tokens_are_paid_for(
    api: httpx.Client, script: Upstream, shared: Product
) -> None:
    script.script("vectors-primary", vectors())
    response = api.post("/embeddings", json={**VECTORS, "dimensions": 2, "user": "u-1"})
    assert response.status_code == 200
    body = response.json()
    assert [one["embedding"] for one in body["data"]] == NUMBERS
    assert [one["index"] for one in body["data"]] == [0, 1]
    assert (body["object"], body["model"]) == ("list", "acme/vectors")
    assert body["usage"]["cost"] == pytest.approx(0.001, abs=1e-12)
    found = api.get("/generation", params={"id": response.headers["X-Generation-Id"]}).json()["data"]
    assert (found["api_type"], found["total_cost"], found["external_user"]) == ("embeddings", 0.001, "u-1")
    seen = script.seen()[0]
    assert seen["path"] == "/v1/embeddings"
    assert seen["body"] == {"model": "vectors-primary", "input": ["a", "b"], "dimensions": 2, "user": "u-1"}
    assert shared.sql("SELECT count(*) FROM billing_hold") == [(0,)]


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("wanted", ["float", "base64"])
def test_vectors_come_as_asked_for(api: httpx.Client, script: Upstream, encoded: bool, wanted: str) -> None:
    script.script("vectors-primary", vectors(encoded))
    found = api.post("/embeddings", json={**VECTORS, "encoding_format": wanted}).json()["data"]
    got = [one["embedding"] for one in found]
    plain = [list(struct.unpack("<2f", base64.b64decode(one))) for one in got] if wanted == "base64" else got
    assert plain == NUMBERS


def test_a_lost_vector_is_a_fault_of_the_provider(api: httpx.Client, script: Upstream) -> None:
    script.script("vectors-primary", vectors(count=1))
    response = api.post("/embeddings", json=VECTORS)
    assert response.status_code == 502
    found = api.get("/generation", params={"id": response.headers["X-Generation-Id"]}).json()["data"]
    assert found["total_cost"] == 0


CHAT: dict[str, Any] = {"model": "acme/vectors", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/embeddings", {**VECTORS, "model": "acme/one"}, "embeddings/models"),
        ("/chat/completions", CHAT, "POST /api/v1/embeddings"),
        ("/chat/completions", {**CHAT, "stream": True}, "POST /api/v1/embeddings"),
        ("/completions", {**TEXT, "model": "acme/vectors"}, "POST /api/v1/embeddings"),
        ("/responses", {"model": "acme/vectors", "input": "Hi"}, "POST /api/v1/embeddings"),
    ],
)
def test_a_model_of_another_path_is_told_as_that(
    api: httpx.Client, script: Upstream, path: str, body: dict[str, Any], said: str
) -> None:
    response = api.post(path, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["metadata"]["error_type"]) == (400, 400, "invalid_request")
    found = error["availability"]
    assert (found["code"], found["retryable"]) == ("wrong_endpoint", False)
    assert found["requested_models"] == [body["model"]]
    assert found["constraint"]["field"] == "model"
    assert said in error["message"]
    assert script.seen() == []


def test_messages_tell_it_in_their_own_envelope(api: httpx.Client, script: Upstream) -> None:
    response = api.post("/messages", json=CHAT)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_fallback_of_the_right_kind_answers(api: httpx.Client, script: Upstream) -> None:
    response = api.post("/chat/completions", json={**CHAT, "models": ["acme/vectors", "acme/one"]})
    assert (response.status_code, response.json()["model"]) == (200, "acme/one")


def test_where_only_one_of_two_is_of_another_path_the_rest_is_told(api: httpx.Client, script: Upstream) -> None:
    """The other is left out by what the request prefers."""
    body = {**CHAT, "models": ["acme/vectors", "acme/one"], "provider": {"max_price": {"prompt": "0"}}}
    error = api.post("/chat/completions", json=body).json()["error"]
    assert (error["code"], error["availability"]["code"]) == (404, "constraint_filtered")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"a": 1}]}, "input"),
        ({"model": None}, "model"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_a_bad_field_of_embeddings_is_named(api: httpx.Client, fields: dict[str, Any], said: str) -> None:
    response = api.post("/embeddings", json={**VECTORS, **fields})
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]


def test_the_sdk_embeds(sdk: OpenAI, script: Upstream) -> None:
    script.script("vectors-primary", vectors())
    found = sdk.embeddings.create(model="acme/vectors", input=["a", "b"])
    assert [one.embedding for one in found.data] == NUMBERS
    assert found.usage.prompt_tokens == 1000
    script.script("vectors-primary", failure(429, "slow down"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        sdk.embeddings.create(model="acme/vectors", input="a")


async def test_the_sdk_embeds_async(async_sdk: AsyncOpenAI, script: Upstream) -> None:
    script.script("vectors-primary", vectors(encoded=True))
    found = await async_sdk.embeddings.create(model="acme/vectors", input=["a", "b"])
    assert [one.embedding for one in found.data] == NUMBERS
