"""One product for the whole folder: Alice is funded, Charlie is an outsider, three providers are scripted."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI

from tests import upstream
from tests.services import Product, Servers, running
from tests.upstream import Upstream

# Three providers in front of one scripted process; the upstream model's name says which of them was called.
PROVIDERS = ("primary", "secondary", "tertiary")
MODELS = (
    ("acme/one", PROVIDERS[:1], "text"),
    ("acme/three", PROVIDERS, "text"),
    ("acme/other", PROVIDERS[2:], "text"),
    ("acme/vectors", PROVIDERS[:1], "embeddings"),
)
PARAMETERS = "[tools, tool_choice, temperature, max_tokens, stop, seed, response_format]"


def catalogue(url: str) -> str:
    lines = ["providers:"]
    for name in PROVIDERS:
        secret = f"sk-{name}-secret-key"
        lines.append(
            f'  - {{slug: {name}, name: {name.title()}, wire: openai, base_url: "{url}", api_key: {secret},'
            # Tests share it: what fails in one is not to be left alone in the next.
            " quirks: {breaker: false}}"
        )
    lines.append("models:")
    for slug, offered, output in MODELS:
        lines += [
            f"  - slug: {slug}",
            f'    name: "Acme: {slug}"',
            "    context_length: 8192",
            "    input_modalities: [text, image]",
            f"    output_modalities: [{output}]",
            "    endpoints:",
        ]
        for name in offered:
            model = f"{slug.split('/')[1]}-{name}"
            lines.append(
                f"      - {{provider: {name}, tag: {name}, upstream_model: {model}, max_completion_tokens: 1024,"
                f" supported_parameters: {PARAMETERS},"
                ' prices: {prompt: "0.000001", completion: "0.000002", input_cache_read: "0.0000001"}}'
            )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def provider() -> Iterator[Upstream]:
    with upstream.running() as process:
        yield process


@pytest.fixture(scope="session")
def shared(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url)) as product:
        yield product


@pytest.fixture(scope="session")
def alice(shared: Product) -> str:
    return shared.issue_key("alice@example.com", "1000")


@pytest.fixture(scope="session")
def charlie(shared: Product) -> str:
    return shared.issue_key("charlie@example.com", "1")


@pytest.fixture
def script(provider: Upstream) -> Iterator[Upstream]:
    """The scripted upstream, without scripts and memories of other tests."""
    provider.reset()
    yield provider
    provider.reset()


@pytest.fixture
def api(shared: Product, alice: str) -> Iterator[httpx.Client]:
    with shared.api(alice) as client:
        yield client


@pytest.fixture
def sdk(shared: Product, alice: str, script: Upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{shared.url}/api/v1", api_key=alice, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def async_sdk(shared: Product, alice: str, script: Upstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{shared.url}/api/v1", api_key=alice, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def ask(api: httpx.Client) -> Callable[..., httpx.Response]:
    """Posts a chat request with these fields."""

    def post(model: str = "acme/one", content: str = "Hi", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        return api.post("/chat/completions", json=body, timeout=30)

    return post
