"""One web process: `python -m gateway.serve --fd N` on a listening socket, or `--host H --port P` on its own."""

import argparse
import logging
import os
import socket
from types import FrameType

import uvicorn

from gateway.cork import CorkedProtocol

DRAIN_S = 10


class Server(uvicorn.Server):
    """Tells /readyz that it drains as soon as the signal comes, so that a load balancer looks elsewhere."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not there yet while it is starting.
        lifespan = getattr(self, "lifespan", None)
        if lifespan is not None and (process := lifespan.state.get("process")):
            process.drain(DRAIN_S)
        super().handle_exit(sig, frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, help="a listening socket, inherited")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    missing = [
        name for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_SECRET_KEY", "TURNPIKE_KEY_PEPPER") if not is_set(name)
    ]
    if missing:
        parser.error(f"not set: {', '.join(missing)}")
    config = uvicorn.Config(
        "gateway.asgi:application",
        host=arguments.host,
        port=arguments.port,
        loop="uvloop",
        http=CorkedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        backlog=4096,
        timeout_graceful_shutdown=DRAIN_S,
    )
    sockets = [socket.socket(fileno=arguments.fd)] if arguments.fd is not None else None
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    Server(config).run(sockets=sockets)


def is_set(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


if __name__ == "__main__":
    main()
