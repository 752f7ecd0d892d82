"""The ASGI application: inference on the lean handler, everything else on Django's own."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

from django.core.asgi import get_asgi_application

# It sets Django up, which what follows needs when it is imported.
stock = get_asgi_application()

from gateway.lean import LeanHandler  # noqa: E402
from gateway.process import Process  # noqa: E402

LEAN_PATHS = frozenset({"/api/v1/chat/completions", "/livez", "/readyz"})
SETTLING_S = 5.0

lean = LeanHandler("gateway.api.inference_urls")


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["path"] in LEAN_PATHS:
        await lean(scope, receive, send)
    else:
        await stock(scope, receive, send)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Starts the process's services and stops them after the last request; views find them in `scope["state"]`."""
    await receive()
    process = Process()
    await process.start()
    scope["state"].update(process=process, services=process.services)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await process.stop(SETTLING_S)
    await send({"type": "lifespan.shutdown.complete"})
