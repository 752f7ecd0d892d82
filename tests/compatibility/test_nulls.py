"""Omitted, not null (§2.13): what published clients of chats refuse to be null is never so, before any wire."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from providers.adapters import WIRES
from tests.compatibility.clients import events
from tests.providers.told import PAYLOADS

# The only members that may be null, by the last name of their path.
NULLABLE = {
    *("content", "refusal", "reasoning", "logprobs", "native_finish_reason", "upstream_inference_cost"),
    *("text", "signature", "id", "format"),
}
STORIES = ("plain", "tools", "reasoning", "cited")


def nulls(value: Any, path: str = "") -> Iterator[str]:
    if value is None:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from nulls(one, f"{path}.{name}")


def refused(body: Any, allowed: set[str]) -> list[str]:
    return [path for path in nulls(body) if path.rpartition(".")[2] not in allowed]


@pytest.mark.parametrize("wire", WIRES)
def test_no_member_is_null_that_may_not_be(client: httpx.Client, wire: str) -> None:
    for story in STORIES:
        if not (PAYLOADS / wire / f"{story}.json").exists():
            continue
        body: dict[str, Any] = {"model": f"{wire}/{story}", "messages": [{"role": "user", "content": "Rome?"}]}
        plain = client.post("/chat/completions", json=body).json()
        assert "system_fingerprint" in plain
        assert refused(plain, NULLABLE | {"system_fingerprint"}) == []
        assert isinstance(plain["created"], int)
        chunks = events(client.post("/chat/completions", json={**body, "stream": True}))
        assert chunks.pop() == "[DONE]"
        for chunk in chunks:
            assert refused(chunk, NULLABLE | {"finish_reason"}) == []
            assert all({"index", "delta", "finish_reason"} <= choice.keys() for choice in chunk["choices"])
            assert isinstance(chunk["created"], int)
        usage = chunks[-1]["usage"]
        counters = [*usage["prompt_tokens_details"].values(), *usage["completion_tokens_details"].values()]
        assert all(isinstance(count, int) for count in counters)
