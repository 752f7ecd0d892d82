"""The ASGI application: inference on the lean handler, everything else on Django's own."""

import gc
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

from django.core.asgi import get_asgi_application

# It sets Django up, which what follows needs when it is imported.
stock = get_asgi_application()

from django.db import connections  # noqa: E402

from gateway.lean import LeanHandler  # noqa: E402
from gateway.process import Process  # noqa: E402

SETTLING_S = 5.0
# Of pages and management APIs; the till has limits of its own, tasks and migrations take their time.
connections.settings["default"]["OPTIONS"].setdefault("options", "-c statement_timeout=30s -c lock_timeout=10s")
GC_THRESHOLD = 10_000

lean = LeanHandler("gateway.api.inference_urls")


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif lean.serves(scope["path"]):
        await lean(scope, receive, send)
    else:
        await stock(scope, receive, send)


def settle_down() -> None:
    """What is loaded by now stays: the collector need not look at it again, nor at every few hundred objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Starts the process's services and stops them after the last request; views find them in `scope["state"]`."""
    await receive()
    process = Process()
    scope["state"].update(process=process, services=process.services)
    await process.start()
    settle_down()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await process.stop(SETTLING_S)
    await send({"type": "lifespan.shutdown.complete"})
