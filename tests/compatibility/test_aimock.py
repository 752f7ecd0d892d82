"""Vendors as somebody else plays them: aimock (npm) behind the product, which reads its answers on every wire."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import npm
from tests.compatibility.clients import SKINS, Heard, events
from tests.compatibility.rows import model, provider
from tests.compatibility.test_matrix import called
from tests.services import Product, Servers, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# Where aimock answers each vendor.
BASES = {
    "openai": "/v1",
    "responses": "/v1",
    "anthropic": "/v1",
    "gemini": "/v1beta",
    "bedrock": "",
    "cohere": "/v2",
}
# aimock cuts characters beyond 16 bits into halves that no UTF-8 can hold.
TEXT = "Rome has been the capital of Italy since 1871; before that it was Florence. È vero – 本当。"
SUNNY = "It is sunny in Rome and there is snow in Oslo."
# Each vendor's own words for the same count.
COUNT = {
    "prompt_tokens": 31,
    "completion_tokens": 17,
    "total_tokens": 48,
    "input_tokens": 31,
    "output_tokens": 17,
    "promptTokenCount": 31,
    "candidatesTokenCount": 17,
    "totalTokenCount": 48,
}
CALLS = [{"name": "weather", "arguments": {"city": city}} for city in ("Rome", "Oslo")]
STORIES = [
    {"match": {"userMessage": "weather", "hasToolResult": True}, "response": {"content": SUNNY}},
    {"match": {"userMessage": "weather"}, "response": {"toolCalls": CALLS}},
    {"match": {"userMessage": "too much"}, "response": {"error": {"message": "Say less."}, "status": 400}},
    {"match": {"userMessage": "capital"}, "response": {"content": TEXT, "usage": COUNT}},
]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
LISTENS = re.compile(r"listening on (http://\S+)")


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    stories = tmp_path_factory.mktemp("aimock") / "stories.json"
    stories.write_text(json.dumps({"fixtures": STORIES}))
    cli: Path = npm.script("@copilotkit/aimock/dist/cli.js")
    # Short pieces: words, arguments and characters are cut in the middle.
    argv = ["node", str(cli), "--port", "0", "--fixtures", str(stories), "--chunk-size", "3", "--strict"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := LISTENS.search(line):
                yield found[1]
                break
        else:
            pytest.fail(f"aimock does not start: {said}")
    finally:
        process.terminate()
        process.wait()


def catalogue(url: str) -> str:
    parameters = ("tools", "tool_choice", "max_tokens")
    models = [model(wire, "model", upstream_model="model", parameters=parameters) for wire in BASES]
    return json.dumps({"providers": [provider(wire, url + base) for wire, base in BASES.items()], "models": models})


@pytest.fixture(scope="module")
def shared(servers: Servers, aimock: str) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(aimock)) as product:
        yield product


@pytest.fixture(scope="module")
def client(shared: Product) -> Iterator[httpx.Client]:
    with shared.api(shared.issue_key("alice@example.com", "1000")) as client:
        yield client


def ask(client: httpx.Client, wire: str, *messages: Any, stream: bool, **fields: Any) -> httpx.Response:
    body = {"model": f"{wire}/model", "messages": messages, "max_tokens": 500, "stream": stream, **fields}
    return client.post("/chat/completions", json=body)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def heard(response: httpx.Response, *, stream: bool) -> Heard:
    assert response.status_code == 200, response.text
    chat = SKINS["chat"]
    found: Heard = chat.stream(events(response)) if stream else chat.whole(response.json())
    assert (found.has_ended, found.error) == (True, None)
    return found


each = pytest.mark.parametrize("wire", BASES)
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@each
@both
def test_an_answer_and_its_count(client: httpx.Client, wire: str, stream: bool) -> None:
    found = heard(ask(client, wire, user("The capital?"), stream=stream), stream=stream)
    assert (found.text, found.usage) == (TEXT, (31, 17, 0))


@each
@both
def test_calls_and_what_came_of_them(client: httpx.Client, wire: str, stream: bool) -> None:
    question = user("The weather?")
    found = heard(ask(client, wire, question, stream=stream, tools=[TOOL]), stream=stream)
    assert called(found) == [("weather", "Rome"), ("weather", "Oslo")]
    calls = [
        {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, (name, arguments) in found.calls.items()
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "fair"} for call in calls]
    turn = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = ask(client, wire, question, turn, *results, stream=stream, tools=[TOOL])
    assert heard(answer, stream=stream).text == SUNNY


@each
@both
def test_an_error_is_told_as_one(client: httpx.Client, wire: str, stream: bool) -> None:
    response = ask(client, wire, user("This is too much"), stream=stream)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["message"], error["metadata"]["error_type"]) == ("Say less.", "invalid_request")
    assert error["metadata"]["provider_name"] == wire.title()
