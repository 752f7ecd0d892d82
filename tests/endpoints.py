"""A provider as the router knows it, for tests that need no catalogue."""

from typing import Any

from providers.snapshot import Provider


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
    return Provider(**values)
