"""The official `anthropic` package against the running product."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message

from tests.services import Product
from tests.upstream import ANSWER, Upstream, chunk, failure, text_reply, text_stream

pytestmark = pytest.mark.thorough

ASKED: dict[str, Any] = {"model": "acme/one", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
TOOL: Any = {"name": "weather", "input_schema": {"type": "object"}}


@pytest.fixture
def client(shared: Product, alice: str, script: Upstream) -> Iterator[Anthropic]:
    with Anthropic(base_url=f"{shared.url}/api", api_key=alice, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def async_client(shared: Product, alice: str, script: Upstream) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=f"{shared.url}/api", auth_token=alice, max_retries=0, timeout=30) as client:
        yield client


def check(found: Message, text: str) -> None:
    (block,) = found.content
    assert block.type == "text"
    assert block.text == text
    assert found.stop_reason == "end_turn"
    assert (found.usage.input_tokens, found.usage.output_tokens) == (10, 4)


def test_plain(client: Anthropic) -> None:
    check(client.messages.create(**ASKED), ANSWER)


async def test_plain_async(async_client: AsyncAnthropic) -> None:
    check(await async_client.messages.create(**ASKED), ANSWER)


def test_streaming(client: Anthropic) -> None:
    with client.messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        check(stream.get_final_message(), text)
    assert text == ANSWER.replace(" ", "")


async def test_streaming_async(async_client: AsyncAnthropic) -> None:
    async with async_client.messages.stream(**ASKED) as stream:
        text = "".join([part async for part in stream.text_stream])
        check(await stream.get_final_message(), text)


def test_keep_alives_are_no_events(client: Anthropic, script: Upstream) -> None:
    script.script("one-primary", [{"sleep": 1.3}, *text_stream()])
    with client.messages.stream(**ASKED) as stream:
        check(stream.get_final_message(), ANSWER.replace(" ", ""))


def test_streamed_tool_calls(client: Anthropic, script: Upstream) -> None:
    opening = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"city":', '"Rome"}')]
    steps = [chunk({"tool_calls": [call]}) for call in (opening, *pieces)]
    script.script("one-primary", [*steps, chunk({}, "tool_calls"), {"done": True}])
    with client.messages.stream(**ASKED, tools=[TOOL]) as stream:
        found = stream.get_final_message()
    (block,) = found.content
    assert block.type == "tool_use"
    assert (block.id, block.name, block.input) == ("call_a", "weather", {"city": "Rome"})
    assert found.stop_reason == "tool_use"


def test_thinking(client: Anthropic, script: Upstream) -> None:
    steps = [chunk({"reasoning_content": "hm"}), chunk({"content": "42"}), chunk({}, "stop"), {"done": True}]
    script.script("one-primary", steps)
    with client.messages.stream(**ASKED) as stream:
        thinking, text = stream.get_final_message().content
    assert thinking.type == "thinking"
    assert thinking.thinking == "hm"
    assert text.type == "text"
    assert text.text == "42"


def test_errors_are_typed(client: Anthropic, script: Upstream) -> None:
    with pytest.raises(anthropic.AuthenticationError, match="is unknown"):
        client.with_options(api_key="sk-wrong").messages.create(**ASKED)
    with pytest.raises(anthropic.BadRequestError, match="acme/none is not a valid model ID"):
        client.messages.create(**ASKED | {"model": "acme/none"})
    script.script("one-primary", failure(429, "slow down"))
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        client.messages.create(**ASKED)


async def test_errors_are_typed_async(async_client: AsyncAnthropic, script: Upstream) -> None:
    script.script("one-primary", failure(500, "it broke"))
    with pytest.raises(anthropic.InternalServerError, match="it broke"):
        await async_client.messages.create(**ASKED)


def test_a_stream_that_fails_half_way(client: Anthropic, script: Upstream) -> None:
    error = {"chunk": {"error": {"message": "it fell over"}}}
    script.script("one-primary", [*text_stream()[:2], {"sleep": 0.2}, error])
    with client.messages.stream(**ASKED) as stream, pytest.raises(anthropic.APIStatusError, match="it fell over"):
        stream.get_final_message()


def test_whole_tool_calls(client: Anthropic, script: Upstream) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    reply = text_reply(finish="tool_calls")
    reply["reply"]["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    script.script("one-primary", [reply])
    (block,) = client.messages.create(**ASKED, tools=[TOOL]).content
    assert block.type == "tool_use"
    assert block.input == {"city": "Rome"}
