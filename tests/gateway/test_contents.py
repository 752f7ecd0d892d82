"""/generation/content: kept only for organizations that want it, encrypted, for nobody else."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.gateway.test_text_and_vectors import VECTORS, vectors
from tests.services import Product
from tests.upstream import Upstream, failure

pytestmark = pytest.mark.thorough

SECRET = "the harbour at dawn"


@pytest.fixture
def keeper(shared: Product) -> Iterator[httpx.Client]:
    """A client of an organization that keeps content."""
    key = shared.issue_key("keeper@example.com", "100")
    switch(shared, True)
    with shared.api(key) as client:
        yield client
    switch(shared, False)


def switch(product: Product, keeps: bool) -> None:
    product.sql(
        "UPDATE accounts_organization SET keeps_content = %s WHERE id IN (SELECT organization_id FROM"
        " accounts_membership m JOIN accounts_user u ON u.id = m.user_id WHERE u.email = 'keeper@example.com')",
        [keeps],
    )
    # Processes hear of it within a second.
    time.sleep(1)


def asked(client: httpx.Client, **more: object) -> str:
    body = {"model": "acme/one", "messages": [{"role": "user", "content": SECRET}], **more}
    answer = client.post("/chat/completions", json=body)
    return answer.headers["X-Generation-Id"]


def content(client: httpx.Client, generation: str) -> httpx.Response:
    """Written beside the answer, so a moment later."""
    deadline = time.monotonic() + 5
    while True:
        answer = client.get("/generation/content", params={"id": generation})
        if answer.status_code != 404 or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_asked_and_answered(shared: Product, script: Upstream, keeper: httpx.Client, stream: bool) -> None:
    kept = content(keeper, asked(keeper, stream=stream)).json()["data"]
    assert kept["input"]["messages"] == [{"role": "user", "content": SECRET}]
    assert kept["output"]["completion"]
    assert "error" not in kept
    (row,) = shared.sql("SELECT sealed FROM billing_generationcontent ORDER BY created_at DESC LIMIT 1")
    assert SECRET not in row[0]


def test_a_failure_is_kept_with_its_error(script: Upstream, keeper: httpx.Client) -> None:
    script.script("one-primary", failure(400))
    kept = content(keeper, asked(keeper)).json()["data"]
    assert kept["output"]["completion"] == ""
    assert kept["error"]["message"]


def test_embeddings_have_an_input_only(script: Upstream, keeper: httpx.Client) -> None:
    script.script("vectors-primary", vectors())
    answer = keeper.post("/embeddings", json=VECTORS)
    assert (answer.status_code, answer.json()["usage"]["cost"]) == (200, 0.001)
    generation = answer.headers["X-Generation-Id"]
    kept = content(keeper, generation).json()["data"]
    assert kept == {"input": {"prompt": VECTORS["input"]}, "output": {"completion": "", "reasoning": None}}
    charged = keeper.get("/generation", params={"id": generation}).json()["data"]
    assert charged["total_cost"] == 0.001


def test_others_see_nothing_of_it(script: Upstream, keeper: httpx.Client, api: httpx.Client) -> None:
    generation = asked(keeper)
    assert content(keeper, generation).status_code == 200
    assert api.get("/generation/content", params={"id": generation}).status_code == 404


def test_nothing_is_kept_unless_it_is_wanted(
    shared: Product, script: Upstream, api: httpx.Client, ask: Callable[..., httpx.Response]
) -> None:
    (before,) = shared.sql("SELECT count(*) FROM billing_generationcontent")
    generation = ask(model="acme/one").headers["X-Generation-Id"]
    answer = api.get("/generation/content", params={"id": generation})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 403)
    assert shared.sql("SELECT count(*) FROM billing_generationcontent") == [before]
