"""Vendors that answer with recorded payloads, and a product before them, for the whole folder."""

import json
from collections.abc import Iterator

import httpx
import pytest

from providers.adapters import WIRES
from tests.compatibility import vendors
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
STORIES = ("plain", "tools", "reasoning", "failing", "overloaded", "stalled", "cited", EVERY)


def catalogue(url: str) -> str:
    providers = [
        {
            "slug": wire,
            "name": wire.title(),
            "wire": wire,
            "base_url": f"{url}/{wire}",
            "api_key": "AKIDEXAMPLE:secret-of-the-operator" if wire == "bedrock" else "secret-of-the-operator",
            "quirks": {"region": "eu-west-1"},
        }
        for wire in WIRES
    ]
    parameters = ["tools", "tool_choice", "reasoning", "response_format", "structured_outputs", "max_tokens"]
    models = [
        {
            "slug": f"{wire}/{story}",
            "name": story,
            "context_length": 100_000,
            "input_modalities": ["text", "image"] if story != EVERY else ["text", "image", "file", "audio", "video"],
            "output_modalities": ["text"] if story != EVERY else ["text", "image", "audio"],
            "endpoints": [
                {
                    "provider": wire,
                    "upstream_model": "plain" if story == EVERY else story,
                    "max_completion_tokens": 8000,
                    "supported_parameters": parameters if story != EVERY else PARAMETERS,
                    "prices": {"prompt": "0.000001", "completion": "0.000002", "web_search": "0.01"},
                }
            ],
        }
        for wire in WIRES
        for story in STORIES
    ]
    # JSON is YAML.
    return json.dumps({"providers": providers, "models": models}, indent=1)


@pytest.fixture(scope="session")
def shared(servers: Servers, vendor: Running) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(vendor.url)) as product:
        yield product


@pytest.fixture(scope="session")
def client(shared: Product) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {shared.issue_key('alice@example.com', '1000')}"}
    with httpx.Client(base_url=f"{shared.url}/api/v1", headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def vendor() -> Iterator[Running]:
    with vendors.running() as process:
        yield process
