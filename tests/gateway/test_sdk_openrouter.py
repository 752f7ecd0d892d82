"""The official `openrouter` package against the running product. It validates every answer strictly."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openrouter import OpenRouter, components, errors

from tests.services import Product
from tests.upstream import ANSWER, Upstream, chunk, failure, text_reply, text_stream

pytestmark = pytest.mark.thorough

ASKED: dict[str, Any] = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
FUNCTION: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
FAILURES: list[tuple[int, type[errors.OpenRouterError]]] = [
    (429, errors.TooManyRequestsResponseError),
    (500, errors.BadGatewayResponseError),
    (503, errors.ServiceUnavailableResponseError),
    (504, errors.EdgeNetworkTimeoutResponseError),
]


def sdk(product: Product, key: str) -> OpenRouter:
    # Of itself it repeats a 5xx for an hour.
    return OpenRouter(api_key=key, server_url=f"{product.url}/api/v1", retry_config=None, timeout_ms=30_000)


@pytest.fixture
def client(shared: Product, alice: str, script: Upstream) -> Iterator[OpenRouter]:
    with sdk(shared, alice) as client:
        yield client


@pytest.fixture
async def async_client(shared: Product, alice: str, script: Upstream) -> AsyncIterator[OpenRouter]:
    async with sdk(shared, alice) as client:
        yield client


def check_result(found: components.ChatResult) -> None:
    assert found.choices[0].message.content == ANSWER
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (10, 4)
    assert found.usage.cost == pytest.approx(0.000018)


def check_chunks(found: list[components.ChatStreamChunk]) -> None:
    assert "".join(one.choices[0].delta.content or "" for one in found) == ANSWER.replace(" ", "")
    assert len({one.id for one in found}) == 1
    assert [one.choices[0].finish_reason for one in found][-2:] == ["stop", "stop"]
    usage = found[-1].usage
    assert usage is not None
    assert usage.cost == pytest.approx(0.000018)


def test_plain(client: OpenRouter) -> None:
    check_result(client.chat.send(**ASKED))


async def test_plain_async(async_client: OpenRouter) -> None:
    check_result(await async_client.chat.send_async(**ASKED))


def test_streaming(client: OpenRouter) -> None:
    with client.chat.send(**ASKED, stream=True) as stream:
        check_chunks(list(stream))


async def test_streaming_async(async_client: OpenRouter) -> None:
    async with await async_client.chat.send_async(**ASKED, stream=True) as stream:
        check_chunks([one async for one in stream])


def test_keep_alives_are_no_events(client: OpenRouter, script: Upstream) -> None:
    script.script("one-primary", [{"sleep": 1.3}, *text_stream()])
    with client.chat.send(**ASKED, stream=True) as stream:
        check_chunks(list(stream))


def test_tool_calls(client: OpenRouter, script: Upstream) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    reply = text_reply(finish="tool_calls")
    reply["reply"]["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    script.script("one-primary", [reply])
    choice = client.chat.send(**ASKED, tools=[FUNCTION]).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].model_dump() == call


def test_streamed_tool_calls(client: OpenRouter, script: Upstream) -> None:
    opening = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": text}} for text in "{}"]
    steps = [chunk({"tool_calls": [call]}) for call in (opening, *pieces)]
    script.script("one-primary", [*steps, chunk({}, "tool_calls"), {"done": True}])
    with client.chat.send(**ASKED, tools=[FUNCTION], stream=True) as stream:
        choices = [one.choices[0] for one in stream]
    calls = [call for choice in choices for call in choice.delta.tool_calls or []]
    assert calls[0].id == "call_a"
    assert "".join((call.function and call.function.arguments) or "" for call in calls) == "{}"
    assert choices[-1].finish_reason == "tool_calls"


def test_reasoning(client: OpenRouter, script: Upstream) -> None:
    steps = [chunk({"reasoning_content": "hm"}), chunk({"content": "42"}), chunk({}, "stop"), {"done": True}]
    script.script("one-primary", steps)
    with client.chat.send(**ASKED, stream=True) as stream:
        deltas = [one.choices[0].delta for one in stream]
    assert [delta.reasoning for delta in deltas if delta.reasoning] == ["hm"]
    assert "".join(delta.content or "" for delta in deltas) == "42"


def test_a_wrong_key(client: OpenRouter, shared: Product) -> None:
    with sdk(shared, "sk-wrong") as stranger, pytest.raises(errors.UnauthorizedResponseError, match="is unknown"):
        stranger.chat.send(**ASKED)


def test_no_credit(client: OpenRouter, shared: Product) -> None:
    poor = shared.issue_key("poor@example.com", None)
    with sdk(shared, poor) as beggar, pytest.raises(errors.PaymentRequiredResponseError) as caught:
        beggar.chat.send(**ASKED)
    assert "can only afford $0.000000" in caught.value.message
    metadata = caught.value.data.error.metadata
    assert metadata
    assert metadata["limit_source"] == "openrouter_credits"


def test_an_unknown_model(client: OpenRouter) -> None:
    with pytest.raises(errors.BadRequestResponseError, match="acme/none is not a valid model ID"):
        client.chat.send(**ASKED | {"model": "acme/none"})


def test_no_provider_left(client: OpenRouter) -> None:
    with pytest.raises(errors.NotFoundResponseError, match="No allowed providers"):
        client.chat.send(**ASKED, provider={"only": ["secondary"]})


def test_a_management_key(client: OpenRouter, shared: Product) -> None:
    management = shared.issue_key(credits=None, management=True)
    with sdk(shared, management) as manager, pytest.raises(errors.ForbiddenResponseError, match="management key"):
        manager.chat.send(**ASKED)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "expected"), FAILURES)
def test_a_failed_provider(
    client: OpenRouter, script: Upstream, status: int, expected: type[errors.OpenRouterError], stream: bool
) -> None:
    script.script("one-primary", failure(status, "it broke", retry_after="7"))
    with pytest.raises(expected, match="it broke") as caught:
        client.chat.send(**ASKED, stream=stream)
    assert caught.value.headers["Retry-After"] == "7"


async def test_a_failed_provider_async(async_client: OpenRouter, script: Upstream) -> None:
    script.script("one-primary", failure(429, "slow down", retry_after="7"))
    with pytest.raises(errors.TooManyRequestsResponseError, match="slow down"):
        await async_client.chat.send_async(**ASKED)


@pytest.mark.parametrize("begun", [0, 2])
def test_a_stream_that_fails_after_the_status_ends_with_an_error_chunk(
    client: OpenRouter, script: Upstream, begun: int
) -> None:
    error = {"chunk": {"error": {"message": "it fell over", "code": 500}}}
    script.script("one-primary", [{"sleep": 1.2}, *text_stream()[:begun], error])
    with client.chat.send(**ASKED, stream=True) as stream:
        last = list(stream)[-1]
    assert last.choices[0].finish_reason == "error"
    assert last.error is not None
    assert (last.error.code, last.error.message) == (502, "it fell over")


def test_models(client: OpenRouter) -> None:
    response = client.models.list()
    assert response is not None
    assert {"acme/one", "acme/three"} <= {model.id for model in response.result.data}


async def test_models_async(async_client: OpenRouter) -> None:
    response = await async_client.models.list_async()
    assert response is not None
    assert response.result.total_count == len(response.result.data)


def test_endpoints(client: OpenRouter) -> None:
    found = client.endpoints.list(author="acme", slug="three").data
    assert [endpoint.tag for endpoint in found.endpoints] == ["primary", "secondary", "tertiary"]
    with pytest.raises(errors.NotFoundResponseError, match="acme/none"):
        client.endpoints.list(author="acme", slug="none")


async def test_endpoints_async(async_client: OpenRouter) -> None:
    assert (await async_client.endpoints.list_async(author="acme", slug="one")).data.id == "acme/one"


def test_providers(client: OpenRouter) -> None:
    assert {"primary", "secondary"} <= {provider.slug for provider in client.providers.list().data}


async def test_providers_async(async_client: OpenRouter) -> None:
    assert "Primary" in [provider.name for provider in (await async_client.providers.list_async()).data]


def test_key(client: OpenRouter, shared: Product) -> None:
    assert client.api_keys.get_current_key_metadata().data.is_management_key is False
    with sdk(shared, "sk-wrong") as stranger, pytest.raises(errors.UnauthorizedResponseError):
        stranger.api_keys.get_current_key_metadata()


async def test_key_async(async_client: OpenRouter) -> None:
    assert (await async_client.api_keys.get_current_key_metadata_async()).data.limit is None


def test_credits(client: OpenRouter) -> None:
    assert client.credits.get_credits().data.total_credits >= 1000


async def test_credits_async(async_client: OpenRouter) -> None:
    assert (await async_client.credits.get_credits_async()).data.total_credits >= 1000


@pytest.mark.parametrize("stream", [False, True])
def test_a_generation(client: OpenRouter, stream: bool) -> None:
    if stream:
        with client.chat.send(**ASKED, stream=True) as chunks:
            generation = list(chunks)[-1].id
    else:
        generation = client.chat.send(**ASKED).id
    found = client.generations.get_generation(id=generation).data
    assert (found.id, found.streamed, found.cancelled) == (generation, stream, False)
    assert found.total_cost == pytest.approx(0.000018)
    with pytest.raises(errors.NotFoundResponseError, match="gen-1-none not found"):
        client.generations.get_generation(id="gen-1-none")


async def test_a_failed_generation_async(async_client: OpenRouter, script: Upstream) -> None:
    script.script("one-primary", failure(500))
    with pytest.raises(errors.BadGatewayResponseError) as caught:
        await async_client.chat.send_async(**ASKED)
    generation = caught.value.headers["X-Generation-Id"]
    found = (await async_client.generations.get_generation_async(id=generation)).data
    assert (found.finish_reason, found.total_cost) == (None, 0)


def test_responses(client: OpenRouter, script: Upstream) -> None:
    found: Any = client.responses.send(model="acme/one", input="Hi", instructions="Be brief.")
    assert found.status == "completed"
    assert found.usage.cost == pytest.approx(0.000018)


async def test_responses_async(async_client: OpenRouter) -> None:
    assert (await async_client.responses.send_async(model="acme/one", input="Hi")).status == "completed"


def test_responses_streamed(client: OpenRouter, script: Upstream) -> None:
    opening = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    steps = [chunk({"reasoning_content": "hm"}), chunk({"content": "42"}), chunk({"tool_calls": [opening]})]
    script.script("one-primary", [*steps, chunk({}, "tool_calls"), {"done": True}])
    with client.responses.send(model="acme/one", input="Hi", stream=True) as stream:
        told = [event.type for event in stream]
    assert told[0] == "response.created"
    assert told[-1] == "response.completed"
    assert {"response.reasoning_text.delta", "response.output_text.delta"} <= set(told)
    assert "response.function_call_arguments.done" in told


def test_embeddings(client: OpenRouter, script: Upstream) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    script.script("vectors-primary", [{"reply": {"object": "list", "data": data, "usage": {"prompt_tokens": 3}}}])
    found: Any = client.embeddings.generate(model="acme/vectors", input="Hi")
    assert found.data[0].embedding == [0.5]
    assert found.usage.cost == pytest.approx(0.000003)
