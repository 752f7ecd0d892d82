"""The catalogue as the router knows it, for tests that need no database."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from gateway import parse
from providers import quirks
from providers.canonical import Request
from providers.pricing import Price
from providers.snapshot import Endpoint, Model, Provider, Snapshot


def provider(slug: str, **fields: Any) -> Provider:
    values: dict[str, Any] = {
        "slug": slug,
        "name": slug.title(),
        "wire": "openai",
        "base_url": "",
        "secret": None,
        "max_concurrency": None,
        "passthrough": False,
        "quirks": {},
        "is_on": True,
        "trains_on_data": True,
        "retention_days": None,
        "headquarters": "",
        "datacenters": (),
        "privacy_policy_url": "",
        "terms_of_service_url": "",
        "status_page_url": "",
        **fields,
    }
    return Provider(**values | {"quirks": quirks.read(values["quirks"])})


def endpoint(tag: str, price: int | Price | None = 1000, **fields: Any) -> Endpoint:
    """Of the model acme/m, whose provider is named by the tag; `price` is prompt's and completion's, pico-USD."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "tag": tag,
        "model": "acme/m",
        "provider": provider(tag.split("/")[0]),
        "upstream_model": "m",
        "context_length": 8192,
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "quantization": "unknown",
        "supported_parameters": frozenset(),
        "first_token_timeout_s": None,
        "price": Price(1, price, price) if isinstance(price, int) else price,
        **fields,
    }
    return Endpoint(**values)


def model(slug: str, *endpoints: Endpoint, **fields: Any) -> Model:
    values: dict[str, Any] = dict.fromkeys(Model.__struct_fields__)
    released = datetime(2026, 1, 1, tzinfo=UTC)
    return Model(**values | {"slug": slug, "endpoints": endpoints, "released_at": released, **fields})


def snapshot(*endpoints: Endpoint) -> Snapshot:
    """A catalogue of what the endpoints serve."""
    slugs = dict.fromkeys(endpoint.model for endpoint in endpoints)
    models = {slug: model(slug, *(one for one in endpoints if one.model == slug)) for slug in slugs}
    return Snapshot(providers={}, models=models)


def request(**fields: Any) -> Request:
    """As the API would parse it, with a short message unless others are given."""
    body = {"model": "acme/m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return parse.chat(json.dumps(body).encode())
