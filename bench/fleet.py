"""Twenty mock providers in one process, each by its path, as the profile in bench/fleet.yaml has them at the time.

`python -m bench.fleet --port 0 --log arrivals.jsonl --seconds 50`; the clock runs from the first `GET /begin`.
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Iterable
from pathlib import Path
from random import Random
from time import time
from typing import Any, TextIO

import msgspec
import uvloop

from bench import upstream, wire
from bench.answer import Answer, Mock

PROFILE = Path(__file__).with_name("fleet.yaml")
CHUNKS = 24
MILLISECONDS = 1000


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slug: str
    price: float
    """USD a million completion tokens."""
    first_token_ms: float
    spread: float
    tokens_per_s: float
    errors: float
    status: int

    def cost(self, prompt: int, completion: int) -> float:
        """USD."""
        return (self.prompt_price * prompt + self.price * completion) / 1e6

    @property
    def prompt_price(self) -> float:
        return self.price / 4


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    begin: float = msgspec.field(name="from")
    until: float
    of: tuple[str, ...]
    set: dict[str, float]


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: tuple[Provider, ...]
    changes: tuple[Change, ...]

    def at(self, share: float) -> dict[str, Provider]:
        """The providers when this share of the run is over."""
        found = {one.slug: one for one in self.providers}
        for change in self.changes:
            if change.begin <= share < change.until:
                for slug in change.of:
                    found[slug] = msgspec.structs.replace(found[slug], **change.set)
        return found

    @property
    def outages(self) -> list[Change]:
        return [change for change in self.changes if change.set.get("errors") == 1]

    @property
    def price_changes(self) -> list[float]:
        """When prices become others, as shares of the run."""
        return sorted({change.begin for change in self.changes if "price" in change.set})


def read_profile(file: Path = PROFILE) -> Profile:
    return msgspec.yaml.decode(file.read_bytes(), type=Profile)


def catalogue(providers: Iterable[Provider], port: int) -> dict[str, Any]:
    """One model, an endpoint for each provider."""
    found = list(providers)
    return {
        "providers": [
            {
                "slug": one.slug,
                "name": one.slug.upper(),
                "wire": "openai",
                "base_url": f"http://127.0.0.1:{port}/{one.slug}/v1",
                "api_key": "secret",
                "passthrough": True,
            }
            for one in found
        ],
        "models": [
            {
                "slug": "bench/fleet",
                "name": "Bench: a fleet",
                "context_length": 100000,
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "endpoints": [endpoint(one) for one in found],
            }
        ],
    }


def endpoint(provider: Provider) -> dict[str, Any]:
    return {
        "provider": provider.slug,
        "tag": provider.slug,
        "upstream_model": "mock",
        "max_completion_tokens": 4096,
        "supported_parameters": ["max_tokens"],
        "prices": {"prompt": f"{provider.prompt_price / 1e6:.12f}", "completion": f"{provider.price / 1e6:.12f}"},
    }


class Fleet:
    def __init__(self, profile: Profile, seconds: float, log: TextIO) -> None:
        self.profile = profile
        self.seconds = seconds
        self.began: float | None = None
        self._log = log
        self._random = Random(1)

    def begin(self) -> float:
        self.began = self.began or time()
        return self.began

    def script(self, slug: str, user: str | None) -> str:
        """The mock's options for one request, which is noted as it arrives."""
        now = time()
        provider = self.profile.at((now - self.began) / self.seconds if self.began else 0)[slug]
        fails = self._random.random() < provider.errors
        self._log.write(json.dumps({"at": now, "provider": slug, "user": user or "", "fails": fails}) + "\n")
        delay = provider.first_token_ms * self._random.lognormvariate(0, provider.spread)
        every = max(MILLISECONDS / provider.tokens_per_s, 1)
        return f"delay{delay:.0f}-every{every:.0f}-chunks{CHUNKS}-status{provider.status if fails else 200}"


class Client(upstream.Client):
    """A path names the provider: /p01/v1/chat/completions."""

    def __init__(self, mock: Mock, fleet: Fleet) -> None:
        super().__init__(mock)
        self._fleet = fleet

    def on_message_complete(self) -> None:
        if self._path == b"/begin":
            self.write(wire.http_answer(200, json.dumps({"began": self._fleet.begin()}).encode()))
        else:
            super().on_message_complete()

    def _chat(self) -> None:
        try:
            request = upstream.DECODE(self._body)
            options = self._fleet.script(self._path.decode().split("/")[1], request.user)
        except (msgspec.DecodeError, KeyError):
            self.write(wire.error_answer(400))
            return
        self._answer = Answer(self._mock, self, request, options)
        self._answer.start()


async def serve(fleet: Fleet, port: int) -> None:
    loop = asyncio.get_running_loop()
    mock = Mock(wire.Plan(), loop)
    server = await loop.create_server(lambda: Client(mock, fleet), "127.0.0.1", port, backlog=1024)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True, help="append a JSON line for each request that arrives")
    parser.add_argument("--seconds", type=float, required=True, help="the length of the run that the profile describes")
    options = parser.parse_args()
    with options.log.open("a", buffering=1) as log:
        uvloop.run(serve(Fleet(read_profile(), options.seconds, log), options.port))


if __name__ == "__main__":
    main()
