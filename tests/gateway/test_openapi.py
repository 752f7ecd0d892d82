"""The OpenAPI document: complete, true of what the running product answers, and there to read."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from gateway.api import inference_urls, urls
from gateway.api.document import document
from gateway.api.shapes.account import OneGeneration
from gateway.api.shapes.chat import ChatChunk, ChatCompletion, ChatUsage
from tests.services import Product
from tests.upstream import Upstream

pytestmark = pytest.mark.thorough

METHODS = {"get", "post", "put", "patch", "delete"}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, found)
        for path, methods in document()["paths"].items()
        for method, found in methods.items()
        if method in METHODS
    ]


def test_every_path_of_the_api_is_in_it() -> None:
    served = {f"/api/v1/{found.pattern}" for found in urls.urlpatterns}
    served |= {f"/{found.pattern}" for found in inference_urls.urlpatterns if "api/" in str(found.pattern)}
    plain = {path.replace("<str:", "{").replace(">", "}") for path in served}
    assert set(document()["paths"]) == plain


@pytest.mark.parametrize(
    ("path", "method", "found"), operations(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_operation_says_what_it_takes_and_answers(path: str, method: str, found: dict[str, Any]) -> None:
    assert found["summary"]
    assert found["tags"]
    assert "default" in found["responses"]
    (success,) = [answer for status, answer in found["responses"].items() if status.startswith("2")]
    assert all("$ref" in media["schema"] or "rss" in name for name, media in success["content"].items())
    assert ("requestBody" in found) == (method in ("post", "patch"))


def test_all_that_is_pointed_to_is_there() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(inner) for inner in value.values()))
        return set().union(*(references(inner) for inner in value)) if isinstance(value, list) else set()

    assert references(document()) <= set(document()["components"]["schemas"])


def test_it_is_served_as_json_and_yaml(shared: Product) -> None:
    as_json = httpx.get(f"{shared.url}/openapi.json").json()
    assert as_json["openapi"].startswith("3.1")
    assert yaml.safe_load(httpx.get(f"{shared.url}/openapi.yaml").text) == as_json


def test_answers_of_a_model_have_the_shapes_that_it_tells(
    shared: Product, script: Upstream, ask: Callable[..., httpx.Response], api: httpx.Client
) -> None:
    whole = ask(model="acme/one")
    assert msgspec.json.decode(whole.content, type=ChatCompletion).usage.total_tokens > 0
    lines = ask(model="acme/one", stream=True).text.splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
    chunks = [msgspec.json.decode(event, type=ChatChunk) for event in events]
    assert isinstance(chunks[-1].usage, ChatUsage)
    generation = api.get("/generation", params={"id": chunks[0].id}).content
    assert msgspec.json.decode(generation, type=OneGeneration).data.id == chunks[0].id


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["inference", "management"])
def test_whatever_is_sent_is_answered_as_the_document_says(
    shared: Product, script: Upstream, kind: str, tmp_path: Path
) -> None:
    """schemathesis makes requests of the document, right and wrong ones: no 5xx, no answer outside its schema."""
    key = shared.issue_key(f"schema-{kind}@example.com", "100", management=kind == "management")
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        *("run", f"{shared.url}/openapi.json", "--header", f"Authorization: Bearer {key}"),
        *(
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--generation-deterministic"),
        *("--continue-on-failure", "--no-color", "--workers", "2"),
    ]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=280)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
