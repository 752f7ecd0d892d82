"""Is a provider up? Its models list is asked for once a minute, with its key; routing does not depend on the answer."""

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import timedelta

import httpx
from django.utils import timezone
from msgspec import Struct

from providers import auth, loading, models
from providers.adapters import WIRES
from providers.errors import UpstreamError
from providers.http import UpstreamTransport
from providers.snapshot import Provider

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 10.0
KEPT = timedelta(days=7)
# It answers, but not to us.
SHUT_OUT = frozenset({401, 402, 403})
FAILED_FROM = 500


class Finding(Struct, frozen=True):
    is_up: bool
    status: int | None
    latency_ms: int
    error: str = ""


def probe_all(environment: Mapping[str, str] = os.environ) -> None:
    """Asks all providers that are on, at the same time. Those that were asked in this minute are left alone."""
    minute = timezone.now().replace(second=0, microsecond=0)
    enabled = models.Provider.objects.filter(is_enabled=True).exclude(probes__minute=minute)
    due = {row.pk: loading.provider(row, environment) for row in enabled.select_related("credential")}
    due = {pk: found for pk, found in due.items() if found.is_on and found.quirks.probe}
    findings = asyncio.run(ask(list(due.values())))
    models.Probe.objects.bulk_create(
        [
            models.Probe(
                provider_id=pk,
                minute=minute,
                checked_at=timezone.now(),
                is_up=found.is_up,
                status=found.status,
                latency_ms=found.latency_ms,
                error=found.error,
            )
            for pk, found in zip(due, findings, strict=True)
        ],
        ignore_conflicts=True,
    )


def prune() -> None:
    models.Probe.objects.filter(checked_at__lt=timezone.now() - KEPT).delete()


async def ask(providers: list[Provider]) -> list[Finding]:
    timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    http = UpstreamTransport()
    async with httpx.AsyncClient(transport=http, timeout=timeout, trust_env=False) as client:
        return await asyncio.gather(*(find(client, http, provider) for provider in providers))


async def find(client: httpx.AsyncClient, http: UpstreamTransport, provider: Provider) -> Finding:
    """Nothing of an error's text is kept: it may name addresses or what was sent."""
    began = time.monotonic()
    status = None
    error = ""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            sent = await headers(http, provider)
            async with client.stream("GET", f"{provider.base_url}/models", headers=sent) as answer:
                status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, UpstreamError, ValueError, TimeoutError) as reason:
        # UpstreamError: a secret that cannot be used, or no token for it.
        error = type(reason).__name__
    is_up = status is not None and status < FAILED_FROM and status not in SHUT_OUT
    return Finding(is_up, status, int((time.monotonic() - began) * 1000), error)


async def headers(http: UpstreamTransport, provider: Provider) -> dict[str, str]:
    wire = WIRES[provider.wire]
    url = f"{provider.base_url}/models"
    proof = await auth.headers(http, provider, wire.auth, method="GET", url=url, body=b"")
    return {"accept-encoding": "identity", "user-agent": "turnpike", **wire.headers, **proof}
