"""Rows of a catalogue in which each wire has a provider of its name."""

from collections.abc import Sequence
from typing import Any

TEXT = ("text",)


def provider(wire: str, base_url: str) -> dict[str, Any]:
    return {
        "slug": wire,
        "name": wire.title(),
        "wire": wire,
        "base_url": base_url,
        "api_key": "AKIDEXAMPLE:secret-of-the-operator" if wire == "bedrock" else "secret-of-the-operator",
        "quirks": {"region": "eu-west-1"},
    }


def model(
    wire: str,
    name: str,
    *,
    upstream_model: str,
    parameters: Sequence[str],
    inputs: Sequence[str] = TEXT,
    outputs: Sequence[str] = TEXT,
) -> dict[str, Any]:
    endpoint = {
        "provider": wire,
        "upstream_model": upstream_model,
        "max_completion_tokens": 8000,
        "supported_parameters": parameters,
        "prices": {"prompt": "0.000001", "completion": "0.000002", "web_search": "0.01"},
    }
    return {
        "slug": f"{wire}/{name}",
        "name": name,
        "context_length": 100_000,
        "input_modalities": inputs,
        "output_modalities": outputs,
        "endpoints": [endpoint],
    }
