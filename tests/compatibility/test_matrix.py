"""Every skin before every wire, feature by feature, through real sockets; docs/compatibility.md is what comes out."""

import json
from typing import Any

import httpx
import pytest

from gateway.api import inference_urls
from providers.adapters import WIRES
from tests.compatibility import breakers, document
from tests.compatibility.clients import PIXEL, SKINS, Heard, events
from tests.compatibility.document import FEATURES, reason
from tests.compatibility.vendors import Running
from tests.waiting import until

# What must come back to the vendor.
SEALED = {
    "anthropic": ["EqQBCkYIBRgCKkBRbW9jayBzaWduYXR1cmU=", "EmwKAhgBEgyredacted"],
    "bedrock": ["EqQBCkYIBRgCKkBRbW9jayBzaWduYXR1cmU=", "EmwKAhgBEgyredacted"],
    "gemini": ["CpcBAVSoXO4mb2NrIHRob3VnaHQgc2lnbmF0dXJl"],
    "responses": ["gAAAAABsealed"],
}


class Cell:
    def __init__(self, client: httpx.Client, vendor: Running, skin: str, wire: str) -> None:
        self.client, self.vendor, self.skin, self.wire = client, vendor, SKINS[skin], wire

    def post(self, story: str, feature: str, turn: list[Any] | None = None, **fields: Any) -> httpx.Response:
        body = {"model": f"{self.wire}/{story}", **self.skin.question(feature, turn or []), **fields}
        return self.client.post(self.skin.path, json=body)

    def whole(self, story: str, feature: str, turn: list[Any] | None = None) -> Heard:
        response = self.post(story, feature, turn)
        assert response.status_code == 200, response.text
        heard: Heard = self.skin.whole(response.json())
        return heard

    def stream(self, story: str, feature: str) -> Heard:
        response = self.post(story, feature, stream=True)
        assert response.status_code == 200, response.text
        heard: Heard = self.skin.stream(events(response))
        return heard

    def sent(self, story: str) -> str:
        """What the vendor was sent last."""
        return json.dumps(self.vendor.seen(self.wire, story)[-1]["body"], ensure_ascii=False)

    def check(self, feature: str) -> None:
        getattr(self, f"check_{feature.replace(' ', '_')}")()

    def check_plain(self) -> None:
        assert self.whole("plain", "plain").text == "Rome."

    def check_stream(self) -> None:
        heard = self.stream("plain", "plain")
        assert (heard.text, heard.has_ended, heard.error) == ("Rome.", True, None)

    def check_tools(self) -> None:
        heard = self.whole("tools", "tools")
        assert called(heard) == [("weather", "Rome"), ("weather", "Oslo")]
        assert "weather" in self.sent("tools")

    def check_parallel_tools(self) -> None:
        heard = self.stream("tools", "tools")
        assert (called(heard), heard.has_ended) == ([("weather", "Rome"), ("weather", "Oslo")], True)

    def check_images(self) -> None:
        self.whole("plain", "images")
        assert self.sent("plain").count(PIXEL) == 1

    def check_schema(self) -> None:
        self.whole("plain", "schema")
        assert "additionalProperties" in self.sent("plain")

    def check_reasoning(self) -> None:
        heard = self.whole("reasoning", "reasoning")
        assert heard.text == "Rome."
        self.whole("reasoning", "reasoning", heard.turn)
        sent = self.sent("reasoning")
        assert [sealed for sealed in SEALED[self.wire] if sealed not in sent] == []

    def check_usage(self) -> None:
        expected = (1200, 90, 1024)
        assert self.whole("plain", "plain").usage == expected
        assert self.stream("plain", "plain").usage == expected

    def check_errors(self) -> None:
        response = self.post("overloaded", "plain")
        assert (response.status_code in (503, 529), self.skin.error(response.json())) == (True, True), response.text
        heard = self.stream("failing", "plain")
        assert heard.text == "Ro"
        assert heard.error is not None

    def check_disconnect(self) -> None:
        body = {"model": f"{self.wire}/stalled", "stream": True, **self.skin.question("plain", [])}
        before = len(self.vendor.seen(self.wire, "stalled"))
        with self.client.stream("POST", self.skin.path, json=body) as response:
            assert any("Ro" in piece for piece in response.iter_text())

        def has_ended() -> bool:
            return all(one["has_left"] for one in self.vendor.seen(self.wire, "stalled")[before:])

        until(has_ended, 10, "the vendor ends")


def called(heard: Heard) -> list[tuple[str, str]]:
    return [(name, json.loads(arguments)["city"]) for _, (name, arguments) in sorted(heard.calls.items())]


@pytest.mark.slow
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("skin", SKINS)
def test_cells(client: httpx.Client, vendor: Running, skin: str, wire: str) -> None:
    cell = Cell(client, vendor, skin, wire)
    broken = {}
    for feature in FEATURES:
        if reason(skin, wire, feature) is None:
            try:
                cell.check(feature)
            except (AssertionError, KeyError, ValueError) as error:
                broken[feature] = str(error)[:500]
    assert broken == {}


@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_how_long_the_cache_is_kept_arrives(client: httpx.Client, vendor: Running, wire: str, stream: bool) -> None:
    response = Cell(client, vendor, "messages", wire).post("plain", "plain", stream=stream)
    assert response.status_code == 200, response.text
    told = [one["usage"] for one in events(response) if one["type"] == "message_delta"] if stream else []
    usage = told[0] if told else response.json()["usage"]
    assert usage["cache_creation_input_tokens"] == 100
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40}


def test_every_inference_path_is_a_skin_here() -> None:
    served = {str(found.pattern) for found in inference_urls.urlpatterns if str(found.pattern).startswith("api/v1/")}
    assert served - {"api/v1/embeddings"} == {f"api/v1{skin.path}" for skin in SKINS.values()}


def test_the_tests_that_the_document_names_exist() -> None:
    named = [test.split("::") for tests in breakers.BREAKERS.values() for test in tests]
    root = document.DOCUMENT.parent.parent
    assert [(file, name) for file, name in named if f"def {name}(" not in (root / file).read_text()] == []


def test_the_document_is_what_is_tested() -> None:
    assert tuple(WIRES) == document.WIRES
    text = document.DOCUMENT.read_text()
    assert text == document.written(text)
