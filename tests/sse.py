"""What a client reads from an event stream."""

import json
from typing import Any

import httpx


def events(response: httpx.Response) -> list[Any]:
    """The payloads of a whole stream, decoded; the last is the text "[DONE]" if it ended so."""
    lines = [line for line in response.text.split("\n") if line.startswith("data:")]
    payloads = [line.removeprefix("data:").strip() for line in lines]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def content(chunks: list[Any]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk != "[DONE]")
