"""A client that knows what it has been charged, and the numbers of it."""

import json
from typing import Any

import httpx

from billing.generations import private_id
from tests.services import Product
from tests.waiting import until


class Client:
    """Asks with one key, and knows what it has been charged by every account of it."""

    def __init__(self, product: Product, key: str) -> None:
        self.product = product
        self.http = product.api(key)

    def ask(self, model: str = "acme/all", **fields: Any) -> httpx.Response:
        return self.http.post("/chat/completions", json=self.body(model, **fields))

    def body(self, model: str = "acme/all", **fields: Any) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}

    def data(self, path: str) -> Any:
        return self.http.get(path).json()["data"]

    def spent(self) -> int:
        credits, key = nano(self.data("/credits")["total_usage"]), nano(self.data("/key")["usage"])
        assert credits == key
        return credits

    def row(self, id: str) -> dict[str, Any]:
        """The closing record, when there is one."""
        names = "charge, list_charge, cost, write_off, is_estimated, prompt_tokens, completion_tokens, outcome"
        found = until(lambda: (one := self.http.get("/generation", params={"id": id})).status_code == 200 and one, 30)
        record = found.json()["data"]
        rows = self.product.sql(f"SELECT {names} FROM billing_generation WHERE id = %s", (private_id(id),))
        row = dict(zip(names.split(", "), rows[0], strict=True))
        assert nano(record["total_cost"]) == nano(record["usage"]) == row["charge"]
        # Beyond the credit it still counts against the key's limit.
        assert row["list_charge"] == row["charge"] + row["write_off"]
        assert all("cost" not in response for response in record["provider_responses"])
        return row


def nano(usd: float) -> int:
    return round(usd * 10**9)


def usage(prompt: int, completion: int, prompt_details: Any = None, details: Any = None) -> dict[str, Any]:
    found = {"prompt_tokens": prompt, "completion_tokens": completion}
    return found | {"prompt_tokens_details": prompt_details or {}, "completion_tokens_details": details or {}}


def ending(answer: httpx.Response) -> dict[str, Any]:
    """The usage of an answer, whole or streamed."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return dict(answer.json()["usage"])
    chunks = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return dict(json.loads(chunks[-1])["usage"])
