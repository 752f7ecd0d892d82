"""What vendors tell beside text: citations where a skin has a place for them, their own blocks in their own skin."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compatibility.clients import events
from tests.providers.told import PAYLOADS

pytestmark = pytest.mark.thorough
TEXT = "Écoute: Rome."
ROME = {"url": "https://example.org/rome", "title": "Rome"}
# By wire: what a chat's annotations are.
CITED: dict[str, list[dict[str, Any]]] = {
    "anthropic": [{**ROME, "content": "Rome is the capital of Italy.", "start_index": 8, "end_index": 12}],
    "responses": [{**ROME, "start_index": 8, "end_index": 12}],
    "gemini": [
        {"url": "https://example.org/book", "title": "https://example.org/book", "start_index": 8, "end_index": 13},
        {**ROME, "start_index": 8, "end_index": 12},
    ],
    "openai": [{**ROME, "content": "Rome is the capital of Italy.", "start_index": 0, "end_index": 0}],
}
each = pytest.mark.parametrize("wire", CITED)
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def asked(client: httpx.Client, path: str, wire: str, **fields: Any) -> httpx.Response:
    user = [{"role": "user", "content": "Rome?"}]
    body: dict[str, dict[str, Any]] = {
        "/responses": {"input": "Rome?"},
        "/messages": {"messages": user, "max_tokens": 50},
    }
    response = client.post(path, json={"model": f"{wire}/cited", **body.get(path, {"messages": user}), **fields})
    assert response.status_code == 200, response.text
    return response


def recorded(wire: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(PAYLOADS) / wire / "cited.json").read_text())
    return found


@each
@both
def test_a_chat_has_pages_as_annotations(client: httpx.Client, wire: str, stream: bool) -> None:
    response = asked(client, "/chat/completions", wire, stream=stream)
    if stream:
        deltas = [one["choices"][0]["delta"] for one in events(response)[:-1]]
        annotations = [note for delta in deltas for note in delta.get("annotations", [])]
        text = "".join(delta.get("content") or "" for delta in deltas)
    else:
        message = response.json()["choices"][0]["message"]
        annotations, text = message["annotations"], message["content"]
    assert text.removesuffix("[1]") == TEXT
    assert annotations == [{"type": "url_citation", "url_citation": one} for one in CITED[wire]]
    if wire != "openai":
        assert text[annotations[-1]["url_citation"]["start_index"] :].startswith("Rome")


def messages_blocks(response: httpx.Response) -> list[dict[str, Any]]:
    """Put together as Anthropic's clients do."""
    blocks: list[dict[str, Any]] = []
    for event in events(response):
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(blocks)
                blocks.append({**event["content_block"], "pieces": ""})
            case "content_block_delta":
                delta = event["delta"]
                blocks[event["index"]]["pieces"] += delta.get("text", "") + delta.get("partial_json", "")
                if delta["type"] == "citations_delta":
                    blocks[-1]["citations"] = [*(blocks[-1].get("citations") or []), delta["citation"]]
    for block in blocks:
        pieces = block.pop("pieces")
        if block["type"] == "text":
            block["text"] = pieces
        elif pieces:
            block["input"] = json.loads(pieces)
    return blocks


@both
def test_anthropics_own_blocks_reach_anthropics_clients(client: httpx.Client, stream: bool) -> None:
    response = asked(client, "/messages", "anthropic", stream=stream)
    told = next(one for one in events(response) if one["type"] == "message_delta") if stream else {}
    end = told["delta"] if stream else response.json()
    blocks = messages_blocks(response) if stream else response.json()["content"]
    expected = recorded("anthropic")
    plain = [{name: value for name, value in block.items() if value is not None} for block in blocks]
    assert plain == expected["content"]
    assert (end["stop_reason"], end["stop_sequence"], end["container"]) == (
        "stop_sequence",
        "END",
        expected["container"],
    )
    if stream:
        assert told["context_management"] == {"applied_edits": []}


@both
def test_openais_own_items_reach_the_clients_of_responses(client: httpx.Client, stream: bool) -> None:
    response = asked(client, "/responses", "responses", stream=stream)
    expected = recorded("responses")["output"]
    if not stream:
        assert response.json()["output"] == expected
        return
    told = [one for one in events(response) if one != "[DONE]"]
    assert [one["sequence_number"] for one in told] == list(range(len(told)))
    output = told[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "code_interpreter_call", "message"]
    assert output[1] == expected[1]
    assert [part["annotations"] for part in output[2]["content"]] == [expected[2]["content"][0]["annotations"]]
    assert [one["item"] for one in told if one["type"] == "response.output_item.done"] == output
    names = [one["type"] for one in told if "code_interpreter" in one["type"]]
    recorded_names = [
        line.removeprefix("event: ")
        for line in (Path(PAYLOADS) / "responses" / "cited.sse").read_text().split("\n")
        if line.startswith("event: ") and "code_interpreter" in line
    ]
    assert names == recorded_names
    assert {one["output_index"] for one in told if "code_interpreter" in one["type"]} == {1}
    notes = [one for one in told if one["type"] == "response.output_text.annotation.added"]
    assert [(one["annotation_index"], one["output_index"]) for one in notes] == [(0, 2), (1, 2)]


@each
@both
def test_pages_are_cited_in_the_words_of_other_skins(client: httpx.Client, wire: str, stream: bool) -> None:
    if wire != "anthropic":
        response = asked(client, "/messages", wire, stream=stream)
        blocks = messages_blocks(response) if stream else response.json()["content"]
        cites = [one for block in blocks if block["type"] == "text" for one in block["citations"] or []]
        assert [(one["type"], one["url"], one["title"]) for one in cites] == [
            ("web_search_result_location", one["url"], one["title"]) for one in CITED[wire]
        ]
    if wire != "responses":
        response = asked(client, "/responses", wire, stream=stream)
        output = events(response)[-2]["response"]["output"] if stream else response.json()["output"]
        notes = [note for item in output for part in item["content"] for note in part["annotations"]]
        assert notes == [
            {"type": "url_citation", **{name: value for name, value in one.items() if name != "content"}}
            for one in CITED[wire]
        ]


def test_what_a_vendor_has_put_into_an_answer_goes_back_to_it(client: httpx.Client, vendor: Any) -> None:
    content = asked(client, "/messages", "anthropic").json()["content"]
    turns = [{"role": "assistant", "content": content}, {"role": "user", "content": "Sure?"}]
    messages = [{"role": "user", "content": "Rome?"}, *turns]
    asked(client, "/messages", "anthropic", messages=messages)
    assert vendor.seen("anthropic", "cited")[-1]["body"]["messages"] == messages
    asked(client, "/messages", "gemini", messages=messages)
    sent = vendor.seen("gemini", "cited")[-1]["body"]["contents"][1]
    assert sent == {"role": "model", "parts": [{"text": "Écoute: "}, {"text": "Rome"}, {"text": "."}]}

    output = asked(client, "/responses", "responses").json()["output"]
    items = [{"role": "user", "content": "Rome?"}, *output, {"role": "user", "content": "Sure?"}]
    asked(client, "/responses", "responses", input=items)
    assert vendor.seen("responses", "cited")[-1]["body"]["input"] == items
    asked(client, "/responses", "gemini", input=items)
    roles = [turn["role"] for turn in vendor.seen("gemini", "cited")[-1]["body"]["contents"]]
    assert roles == ["user", "model", "user"]
