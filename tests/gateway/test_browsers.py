"""What every answer has for browsers and slow lines, and what is refused before it is read."""

import gzip
import json
import socket
from collections.abc import Callable

import httpx
import pytest

from tests.services import Product
from tests.sse import content, events
from tests.upstream import ANSWER, Upstream, text_reply, text_stream

pytestmark = pytest.mark.thorough

Ask = Callable[..., httpx.Response]
ORIGIN = {"Origin": "https://app.example"}
INFERENCE = ["/chat/completions", "/messages", "/responses", "/completions", "/embeddings"]


@pytest.mark.parametrize("path", [*INFERENCE, "/models", "/keys", "/key"])
def test_a_preflight_is_granted(shared: Product, path: str) -> None:
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-title",
    }
    response = httpx.options(f"{shared.url}/api/v1{path}", headers=asked)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Headers"] == "authorization,x-title"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.content == b""


def test_any_origin_may_read_answers_and_errors(api: httpx.Client, ask: Ask, script: Upstream, shared: Product) -> None:
    answers = [
        ask(),
        ask(stream=True),
        ask(model="acme/none"),
        api.get("/models"),
        api.get("/nothing"),
        api.get("/key"),
    ]
    answers.append(httpx.get(f"{shared.url}/api/v1/key"))
    assert [one.status_code for one in answers] == [200, 200, 400, 200, 404, 200, 401]
    for one in answers:
        assert one.headers.get_list("Access-Control-Allow-Origin") == ["*"]
        assert "X-Generation-Id" in one.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in httpx.get(shared.url).headers


@pytest.mark.parametrize("path", ["/models", "/key", "/credits", "/providers"])
def test_head_is_get_without_its_body(api: httpx.Client, path: str) -> None:
    response = api.head(path)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("path", INFERENCE)
def test_head_of_what_is_posted_is_405(api: httpx.Client, path: str) -> None:
    response = api.head(path)
    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    "accept", ["text/html", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "image/png", "nonsense"]
)
def test_accept_changes_nothing(api: httpx.Client, script: Upstream, accept: str) -> None:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}
    for response in (
        api.get("/models", headers={"Accept": accept}),
        api.get("/key", headers={"Accept": accept}),
        api.post("/chat/completions", json=body, headers={"Accept": accept}),
    ):
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("application/json")
    missing = api.get("/nothing", headers={"Accept": accept})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, 404)


def test_a_large_answer_is_compressed_for_who_takes_it(api: httpx.Client, ask: Ask, script: Upstream) -> None:
    script.script("one-primary", [text_reply("long " * 4000)])
    body = json.dumps({"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}]}).encode()

    def raw(accepted: str) -> tuple[httpx.Headers, bytes]:
        with api.stream("POST", "/chat/completions", content=body, headers={"Accept-Encoding": accepted}) as response:
            return response.headers, b"".join(response.iter_raw())

    headers, packed = raw("br, gzip")
    assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert len(packed) == int(headers["Content-Length"]) < 4000
    assert json.loads(gzip.decompress(packed))["choices"][0]["message"]["content"] == "long " * 4000
    for accepted in ("identity", "br", "gzip;q=0"):
        headers, plain = raw(accepted)
        assert "Content-Encoding" not in headers
        assert len(plain) > 20_000
    assert "Content-Encoding" not in ask(stream=True).headers
    script.script("one-primary", [text_reply()])
    assert "Content-Encoding" not in ask().headers


def test_lists_are_compressed_too(shared: Product) -> None:
    response = httpx.get(f"{shared.url}/api/v1/models", headers={"Accept-Encoding": "gzip"})
    assert response.json()["data"]
    assert response.headers.get("Content-Encoding") == ("gzip" if len(response.content) >= 4096 else None)


def test_a_stream_is_sent_as_it_comes_though_the_client_takes_gzip(api: httpx.Client, script: Upstream) -> None:
    steps = text_stream()
    script.script("one-primary", [*steps[:2], {"stall": True}])
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with api.stream("POST", "/chat/completions", json=body, headers={"Accept-Encoding": "gzip"}) as response:
        first = next(response.iter_text())
    assert first.startswith("data: ")


def request_head(path: str, key: str, length: int) -> bytes:
    lines = [f"POST /api/v1{path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("key", "length", "status"), [("sk-wrong", 30_000_000, 401), ("", 30_000_000, 401), ("alice", 40_000_000, 413)]
)
def test_a_large_body_is_refused_before_it_is_read(
    shared: Product, alice: str, key: str, length: int, status: int
) -> None:
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(request_head("/messages", alice if key == "alice" else key, length))
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b'"type":"error"' in answer


def test_the_connection_goes_on_after_a_refusal(shared: Product, alice: str, script: Upstream) -> None:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": "x" * 500_000}]}
    with httpx.Client(base_url=f"{shared.url}/api/v1") as client:
        assert client.post("/chat/completions", json=body).status_code == 401
        answer = client.post("/chat/completions", json={**body, "max_tokens": 5}, headers={"x-api-key": alice})
        assert answer.status_code in (200, 404)
        short = {**body, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        assert content(
            events(client.post("/chat/completions", json=short, headers={"x-api-key": alice}))
        ) == ANSWER.replace(" ", "")


def test_static_files_are_packed_for_whom_takes_that_and_kept(shared: Product) -> None:
    url = f"{shared.url}/static/turnpike.css"
    plain = httpx.get(url, headers={"Accept-Encoding": "identity"})
    packed = [httpx.get(url, headers={"Accept-Encoding": "gzip, br"}) for _ in range(2)]
    assert "Content-Encoding" not in plain.headers
    for one in packed:
        assert one.headers["Content-Encoding"] == "gzip"
        assert one.content == plain.content
        assert int(one.headers["Content-Length"]) < len(plain.content) / 3
        assert one.headers["Content-Type"] == plain.headers["Content-Type"]
    assert {one.headers["Vary"] for one in (plain, *packed)} == {"Accept-Encoding"}
    head = httpx.head(url, headers={"Accept-Encoding": "gzip"})
    assert (head.status_code, head.content) == (200, b"")
    known = {"Accept-Encoding": "gzip", "If-None-Match": packed[0].headers["ETag"]}
    assert httpx.get(url, headers=known).status_code == 304
    part = httpx.get(url, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, plain.content[:10])
    assert httpx.get(f"{shared.url}/static/nothing.css").status_code == 404
