"""Halves of characters, as JavaScript cuts them: joined in streams, replaced elsewhere, never an error."""

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters import WIRES
from providers.http import Body
from providers.surrogates import Halves, marked, replaced
from providers.upstream import EventStream
from tests.providers.told import Told
from tests.sse import events
from tests.upstream import Upstream, chunk, text_reply

HIGH, LOW = "\ud83d", "\ude00"
PIECES = [f"so {HIGH}", f"{LOW} and ", HIGH, LOW, f" alone {HIGH}", f" x {LOW} y", HIGH]
JOINED = "so \N{GRINNING FACE} and \N{GRINNING FACE} alone \ufffd x \ufffd y\ufffd"


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


# By skin: the body that says a text, and the text of a whole answer and of a stream's events.
ASKED: dict[str, Callable[[str], dict[str, Any]]] = {
    "/chat/completions": lambda text: {"messages": user(text)},
    "/completions": lambda text: {"prompt": text},
    "/messages": lambda text: {"messages": user(text), "max_tokens": 50},
    "/responses": lambda text: {"input": text},
}
WHOLE: dict[str, Callable[[Any], str]] = {
    "/chat/completions": lambda body: body["choices"][0]["message"]["content"],
    "/completions": lambda body: body["choices"][0]["text"],
    "/messages": lambda body: body["content"][0]["text"],
    "/responses": lambda body: body["output"][0]["content"][0]["text"],
}
PIECE: dict[str, Callable[[Any], str]] = {
    "/chat/completions": lambda event: event["choices"][0]["delta"].get("content") or "",
    "/completions": lambda event: event["choices"][0]["text"],
    "/messages": lambda event: event.get("delta", {}).get("text", ""),
    "/responses": lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
}
each = pytest.mark.parametrize("path", ASKED)


def post(api: httpx.Client, path: str, text: str = "Hi", **fields: Any) -> httpx.Response:
    """As JavaScript writes it: halves as escapes."""
    content = json.dumps({"model": "acme/one", **ASKED[path](text), **fields})
    return api.post(path, content=content, headers={"content-type": "application/json"}, timeout=30)


@each
def test_halves_in_two_chunks_are_one_character(api: httpx.Client, script: Upstream, path: str) -> None:
    script.script("one-primary", [*(chunk({"content": one}) for one in PIECES), chunk({}, "stop"), {"done": True}])
    response = post(api, path, stream=True)
    assert response.status_code == 200
    told = [one for one in events(response) if one != "[DONE]"]
    assert "".join(map(PIECE[path], told)) == JOINED
    assert not any("error" in one and one["error"] for one in told)


@each
def test_halves_in_a_whole_answer_are_replaced(api: httpx.Client, script: Upstream, path: str) -> None:
    script.script("one-primary", [text_reply("".join(PIECES))])
    assert WHOLE[path](post(api, path).json()) == JOINED


@each
def test_halves_in_a_request_are_replaced(api: httpx.Client, script: Upstream, path: str) -> None:
    response = post(api, path, f"a {HIGH} b {HIGH}{LOW} c {LOW} \\{HIGH}")
    assert response.status_code == 200, response.text
    sent = script.seen()[0]["body"]["messages"]
    assert sent == user("a \ufffd b \N{GRINNING FACE} c \ufffd \\\ufffd")


def test_every_text_of_a_stream_is_joined_by_itself(api: httpx.Client, script: Upstream) -> None:
    def call(index: int, arguments: str) -> dict[str, Any]:
        named = {"id": f"call_{index}", "type": "function"} if arguments.startswith("{") else {}
        name = {"name": "f"} if named else {}
        return {"index": index, **named, "function": {**name, "arguments": arguments}}

    steps = [
        chunk({"reasoning": f"hm {HIGH}"}),
        chunk({"reasoning": f"{LOW}!", "content": HIGH}),
        chunk({"content": LOW}),
        chunk({"tool_calls": [call(0, f'{{"a":"{HIGH}'), call(1, f'{{"b":"{HIGH}')]}),
        chunk({"tool_calls": [call(1, f'{LOW}"}}'), call(0, f'{LOW}"}}')]}),
        chunk({}, "tool_calls"),
        {"done": True},
    ]
    script.script("one-primary", steps)
    tools = [{"type": "function", "function": {"name": "f"}}]
    told = [one["choices"][0]["delta"] for one in events(post(api, "/chat/completions", stream=True, tools=tools))[:-1]]
    assert "".join(one.get("reasoning", "") for one in told) == "hm \N{GRINNING FACE}!"
    details = [detail for one in told for detail in one.get("reasoning_details", [])]
    assert "".join(detail["text"] for detail in details) == "hm \N{GRINNING FACE}!"
    assert "".join(one.get("content") or "" for one in told) == "\N{GRINNING FACE}"
    arguments = {0: "", 1: ""}
    for one in told:
        for piece in one.get("tool_calls", []):
            arguments[piece["index"]] += piece["function"]["arguments"]
    assert arguments == {0: '{"a":"\N{GRINNING FACE}"}', 1: '{"b":"\N{GRINNING FACE}"}'}


def test_halves_within_the_arguments_of_a_call_stay_arguments(api: httpx.Client, script: Upstream) -> None:
    """There they are escapes of the text, which the client reads by itself."""
    function = {"name": "f", "arguments": r'{"a":"\ud83d"}'}
    call = {"id": "c1", "type": "function", "function": function}
    reply = text_reply("x", finish="tool_calls")
    reply["reply"]["choices"][0]["message"]["tool_calls"] = [call]
    script.script("one-primary", [reply])
    tool = {"name": "f", "input_schema": {"type": "object"}}
    block = post(api, "/messages", tools=[tool]).json()["content"][1]
    assert block["input"] == {"a": "\ufffd"}
    turn = {"role": "assistant", "content": [block]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]}
    assert post(api, "/messages", messages=[*user("Hi"), turn, result], tools=[tool]).status_code == 200


def test_log_probabilities_of_half_a_character_come_along(api: httpx.Client, script: Upstream) -> None:
    step = chunk({"content": HIGH})
    step["chunk"]["choices"][0]["logprobs"] = {"content": [{"token": HIGH, "logprob": -1.0, "top_logprobs": []}]}
    script.script("one-primary", [step, chunk({"content": LOW}), chunk({}, "stop"), {"done": True}])
    first, *_ = events(post(api, "/completions", stream=True))
    assert first["choices"][0]["logprobs"]["tokens"] == ["\ufffd"]


def test_an_error_that_speaks_in_halves_is_told(api: httpx.Client, script: Upstream) -> None:
    script.script("one-primary", [chunk({"content": "x"}), {"chunk": {"error": {"message": f"too hot {HIGH}"}}}])
    told = events(post(api, "/chat/completions", stream=True))
    assert told[-2]["error"]["message"] == "too hot \ufffd"


@given(text=st.text(st.characters(codec="utf-8"), max_size=20), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_a_text_cut_anywhere_in_utf_16_comes_whole(text: str, cuts: list[int]) -> None:
    units = text.encode("utf-16-le")
    places = sorted({min(cut * 2, len(units)) for cut in cuts} | {0, len(units)})
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(places)]
    steps = [chunk({"content": piece})["chunk"] for piece in pieces] + [chunk({}, "stop")["chunk"]]
    received = [b"data: %b\n\n" % json.dumps(step).encode() for step in steps]
    assert asyncio.run(heard([*received, b"data: [DONE]\n\n"])) == text


class Pieces:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


async def heard(pieces: list[bytes]) -> str:
    stream, told = EventStream(cast(Body, Pieces(pieces)), WIRES["openai"]), Told()
    while not stream.is_over:
        for event in await stream.next():
            told.hear(event)
    return told.content


@given(st.text(st.characters(), max_size=30))
def test_only_halves_are_touched(text: str) -> None:
    written = json.dumps({"a": text, "b": "\\ud83d \\\\ude00"})
    mended = json.loads(replaced(written.encode()))
    assert mended["a"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert mended["b"] == "\\ud83d \\\\ude00"


def test_nothing_is_done_to_what_has_no_halves() -> None:
    plain = json.dumps({"a": "\N{GRINNING FACE} \\ud83d"}).encode()
    assert marked(plain) == replaced(plain) == plain
    assert list(Halves().joined([], is_marked=True)) == []
