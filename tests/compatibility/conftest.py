"""Vendors that answer with recorded payloads, and a product before them, for the whole folder."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from providers.adapters import WIRES
from tests.compatibility import vendors
from tests.compatibility.rows import model, provider
from tests.compatibility.vendors import Running
from tests.services import Product, Servers, running

# Answers the story "plain", and lists all that the reference knows (§1.2).
EVERY = "every"
PARAMETERS = [
    *("temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty"),
    *("max_tokens", "max_completion_tokens", "logit_bias", "logprobs", "top_logprobs", "prediction", "seed"),
    *("response_format", "structured_outputs", "stop", "tools", "tool_choice", "parallel_tool_calls", "reasoning"),
    *("include_reasoning", "reasoning_effort", "web_search_options", "verbosity"),
]
USUAL = ("tools", "tool_choice", "reasoning", "response_format", "structured_outputs", "max_tokens")
STORIES = ("plain", "tools", "reasoning", "failing", "overloaded", "stalled", "cited", EVERY)


def catalogue(url: str) -> str:
    models = [model_of(wire, story) for wire in WIRES for story in STORIES]
    # JSON is YAML.
    return json.dumps({"providers": [provider(wire, f"{url}/{wire}") for wire in WIRES], "models": models}, indent=1)


def model_of(wire: str, story: str) -> dict[str, Any]:
    if story == EVERY:
        inputs, outputs = ("text", "image", "file", "audio", "video"), ("text", "image", "audio")
        return model(wire, story, upstream_model="plain", parameters=PARAMETERS, inputs=inputs, outputs=outputs)
    return model(wire, story, upstream_model=story, parameters=USUAL, inputs=("text", "image"))


@pytest.fixture(scope="session")
def shared(servers: Servers, vendor: Running) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(vendor.url)) as product:
        yield product


@pytest.fixture(scope="session")
def client(shared: Product) -> Iterator[httpx.Client]:
    with shared.api(shared.issue_key("alice@example.com", "1000")) as client:
        yield client


@pytest.fixture(scope="session")
def vendor() -> Iterator[Running]:
    with vendors.running() as process:
        yield process
