"""/livez and /readyz: no authentication, no database of Django's."""

import asyncio

import msgspec
from django.http import HttpRequest, HttpResponse

from gateway.process import Process


async def livez(request: HttpRequest) -> HttpResponse:
    return answer(200, {"status": "ok"})


async def readyz(request: HttpRequest) -> HttpResponse:
    """200 `ok`, or `degraded` without Redis; 503 while starting or draining, and without PostgreSQL."""
    process: Process = request.scope["state"]["process"]  # type: ignore[attr-defined]
    postgresql, redis = await asyncio.gather(process.ping_postgresql(), process.ping_redis())
    checks = {
        "migrated": process.is_migrated,
        "catalogue": process.has_catalogue,
        "postgresql": postgresql,
        "redis": redis,
    }
    if process.is_draining:
        status = "draining"
    elif not all((process.is_migrated, process.has_catalogue, postgresql)):
        status = "starting" if postgresql else "unavailable"
    else:
        status = "ok" if redis else "degraded"
    words = {name: "ok" if good else "failing" for name, good in checks.items()}
    return answer(200 if status in ("ok", "degraded") else 503, {"status": status, "checks": words})


def answer(status: int, body: dict[str, object]) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json")
