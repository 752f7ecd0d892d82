"""The official `openai` package against the running product."""

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionFunctionToolParam

from tests.services import Product
from tests.upstream import ANSWER, Upstream, chunk, failure, text_reply, text_stream

pytestmark = pytest.mark.thorough

ASKED: dict[str, Any] = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
FUNCTION: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}},
}


def check_completion(found: ChatCompletion) -> None:
    assert found.choices[0].message.content == ANSWER
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (10, 4, 14)
    assert found.object == "chat.completion"


def check_chunks(found: list[ChatCompletionChunk]) -> None:
    assert "".join(one.choices[0].delta.content or "" for one in found) == ANSWER.replace(" ", "")
    assert len({one.id for one in found}) == 1
    assert [one.choices[0].finish_reason for one in found][-2:] == ["stop", "stop"]
    assert [one.usage is not None for one in found] == [False] * (len(found) - 1) + [True]
    usage = found[-1].usage
    assert usage is not None
    assert usage.total_tokens == 14


def test_plain(sdk: OpenAI) -> None:
    check_completion(sdk.chat.completions.create(**ASKED))


async def test_plain_async(async_sdk: AsyncOpenAI) -> None:
    check_completion(await async_sdk.chat.completions.create(**ASKED))


def test_streaming(sdk: OpenAI) -> None:
    check_chunks(list(sdk.chat.completions.create(**ASKED, stream=True)))


async def test_streaming_async(async_sdk: AsyncOpenAI) -> None:
    check_chunks([one async for one in await async_sdk.chat.completions.create(**ASKED, stream=True)])


def test_the_stream_helper_puts_the_pieces_together(sdk: OpenAI) -> None:
    with sdk.chat.completions.stream(**ASKED) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert text == final.choices[0].message.content == ANSWER.replace(" ", "")
    assert final.usage is not None
    assert final.usage.total_tokens == 14


def test_the_raw_response_carries_the_generations_id(sdk: OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(**ASKED)
    assert raw.headers["X-Generation-Id"] == raw.parse().id


def test_tool_calls(sdk: OpenAI, script: Upstream) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    reply = text_reply(finish="tool_calls")
    reply["reply"]["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    script.script("one-primary", [reply])
    choice = sdk.chat.completions.create(**ASKED, tools=[FUNCTION]).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].model_dump() == call


def test_streamed_tool_calls_are_put_together_by_index(sdk: OpenAI, script: Upstream) -> None:
    def piece(index: int, arguments: str, **opening: Any) -> dict[str, Any]:
        return {"index": index, "function": {"arguments": arguments, **opening.pop("function", {})}, **opening}

    first = [
        piece(0, "", id="call_a", type="function", function={"name": "weather"}),
        piece(1, "", id="call_b", type="function", function={"name": "weather"}),
    ]
    rest = [[piece(0, '{"city":')], [piece(1, '{"city":"Oslo"}')], [piece(0, '"Rome"}')]]
    steps = [chunk({"role": "assistant", "content": None, "tool_calls": first})]
    steps += [chunk({"tool_calls": calls}) for calls in rest]
    script.script("one-primary", [*steps, chunk({}, "tool_calls"), {"done": True}])
    with sdk.chat.completions.stream(**ASKED, tools=[FUNCTION]) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls or []
    assert [(call.id, call.function.arguments) for call in calls] == [
        ("call_a", '{"city":"Rome"}'),
        ("call_b", '{"city":"Oslo"}'),
    ]


def test_a_wrong_key_is_an_authentication_error(sdk: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError, match="the API key is unknown") as caught:
        sdk.with_options(api_key="sk-wrong").chat.completions.create(**ASKED)
    assert caught.value.status_code == 401


def test_no_credit_is_402_and_says_what_is_affordable(sdk: OpenAI, shared: Product) -> None:
    poor = shared.issue_key("poor@example.com", None)
    with pytest.raises(openai.APIStatusError, match="Add credits") as caught:
        sdk.with_options(api_key=poor).chat.completions.create(**ASKED)
    assert caught.value.status_code == 402
    assert "can only afford $0.000000" in caught.value.message


def test_an_unknown_model_is_a_bad_request(sdk: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="acme/none is not a valid model ID"):
        sdk.chat.completions.create(**ASKED | {"model": "acme/none"})


def test_no_provider_left_is_not_found(sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="No allowed providers"):
        sdk.chat.completions.create(**ASKED, extra_body={"provider": {"only": ["secondary"]}})


def test_a_management_key_has_no_permission(sdk: OpenAI, shared: Product) -> None:
    management = shared.issue_key(credits=None, management=True)
    with pytest.raises(openai.PermissionDeniedError, match="management key"):
        sdk.with_options(api_key=management).chat.completions.create(**ASKED)


def test_a_rate_limit_comes_with_the_time_to_wait(sdk: OpenAI, script: Upstream) -> None:
    script.script("one-primary", failure(429, "slow down", retry_after="7"))
    with pytest.raises(openai.RateLimitError, match="slow down") as caught:
        sdk.chat.completions.create(**ASKED)
    assert caught.value.response.headers["Retry-After"] == "7"


def test_the_client_waits_and_tries_again(sdk: OpenAI, script: Upstream) -> None:
    script.script("one-primary", failure(429, "slow down", retry_after="1"))
    with pytest.raises(openai.RateLimitError):
        sdk.with_options(max_retries=1).chat.completions.create(**ASKED)
    first, second = script.seen()
    assert 1.0 <= second["began"] - first["began"] < 4


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_provider_is_an_internal_server_error(sdk: OpenAI, script: Upstream, stream: bool) -> None:
    script.script("one-primary", failure(500, "it broke"))
    with pytest.raises(openai.InternalServerError, match="it broke") as caught:
        sdk.chat.completions.create(**ASKED, stream=stream)
    assert caught.value.status_code == 502


def test_a_stream_that_fails_half_way_raises_with_the_message(sdk: OpenAI, script: Upstream) -> None:
    error = {"error": {"message": "it fell over", "code": 500}}
    script.script("one-primary", [*text_stream()[:2], {"chunk": error}])
    with pytest.raises(openai.APIError, match="it fell over"):
        list(sdk.chat.completions.create(**ASKED, stream=True))


def test_models(sdk: OpenAI) -> None:
    assert {"acme/one", "acme/three"} <= {model.id for model in sdk.models.list()}


async def test_models_async(async_sdk: AsyncOpenAI) -> None:
    assert {"acme/one", "acme/three"} <= {model.id async for model in async_sdk.models.list()}
