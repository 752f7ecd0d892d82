"""Every field of a chat request before every wire: what the vendor was sent of it, through real sockets."""

from typing import Any

import httpx
import pytest

from providers.adapters import WIRES
from providers.canonical import ChatRequest
from tests.compatibility.fields import EXPECTED, FIELDS, body, difference
from tests.compatibility.vendors import Running

pytestmark = pytest.mark.thorough
PLAIN = {"messages": [{"role": "user", "content": "Rome?"}]}
# Told in the words of others, or read by tests of their own: tests/gateway/test_stream.py has `stream` and `debug`.
ELSEWHERE = {"messages", "model", "stream", "response_format", "plugins", "reasoning", "debug"}


def ask(client: httpx.Client, wire: str, **fields: Any) -> httpx.Response:
    return client.post("/chat/completions", json={"model": f"{wire}/every", **fields})


@pytest.mark.parametrize("wire", WIRES)
def test_what_a_vendor_is_sent_of_each_field(client: httpx.Client, vendor: Running, wire: str) -> None:
    assert ask(client, wire, **PLAIN).status_code == 200
    plain = vendor.seen(wire, "plain")[-1]["body"]
    found: dict[str, Any] = {}
    for name in FIELDS:
        response = ask(client, wire, **body(name))
        if response.status_code == 200:
            found[name] = difference(plain, vendor.seen(wire, "plain")[-1]["body"])
        else:
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (400, 400)
            found[name] = error["message"]
    assert found == {name: cells[wire] for name, cells in EXPECTED.items()}


def test_no_field_is_forgotten() -> None:
    assert set(ChatRequest.__struct_fields__) - ELSEWHERE <= set(FIELDS)
    assert set(FIELDS) == set(EXPECTED)


def test_media_are_counted_and_a_search_is_charged(client: httpx.Client) -> None:
    parts = [body(f"part {name}")["messages"][0]["content"][0] for name in ("image_url", "file", "input_audio")]
    messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}]
    response = ask(client, "openai", messages=messages)
    found = client.get("/generation", params={"id": response.headers["X-Generation-Id"]}).json()["data"]
    assert (found["num_media_prompt"], found["num_input_audio_prompt"], found["num_media_completion"]) == (3, 1, 0)

    without = ask(client, "openai", **PLAIN).json()["usage"]["cost"]
    searched = ask(client, "openai", **PLAIN, web_search_options={}).json()["usage"]["cost"]
    assert searched - without == pytest.approx(0.01, abs=1e-9)
