"""`bench/routing`: Turnpike and simple policies before the same twenty providers; see bench/README.md."""

import argparse
import asyncio
import json
import math
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType

import msgspec
import yaml

from bench.figures import Arrival, Figures, Sent, figures
from bench.fleet import Profile, Provider, catalogue, read_profile
from bench.gateway import Gateway, manage, start_gateway
from bench.policies import SORTS, Target, ask, simple_policies
from bench.stack import Stack, free_port

REACTS_WITHIN_S = 5.0
# So many answers of each provider, and the router has figures of it.
FEWEST = 4
WARM_AT_ONCE = 10
CHAT = "/api/v1/chat/completions"
Targets = Callable[[], Iterable[Target]]


class Run:
    def __init__(self, stack: Stack, profile: Profile, seconds: float, rate: float) -> None:
        self.stack, self.profile, self.seconds, self.rate = stack, profile, seconds, rate
        self.log = stack.directory / "arrivals.jsonl"
        self.port = self._start_fleet()
        self.gateway = start_gateway(stack, self._catalogue(0))
        self.policies = self._policies()
        self.began = 0.0
        self.sent: list[Sent] = []

    def _start_fleet(self) -> int:
        port = free_port()
        words = ["-m", "bench.fleet", "--port", str(port), "--log", str(self.log), "--seconds", str(self.seconds)]
        process = self.stack.start("fleet", [sys.executable, *words])
        self.stack.wait_for(f"http://127.0.0.1:{port}/stats", process, "fleet")
        return port

    def _catalogue(self, share: float) -> str:
        text: str = yaml.safe_dump(catalogue(self.profile.at(share).values(), self.port))
        return text

    def _policies(self) -> dict[str, Targets]:
        found: dict[str, Targets] = {"turnpike": lambda: [through(self.gateway, {})]}
        for sort in SORTS:
            found[f"turnpike {sort}"] = partial(lambda target: [target], through(self.gateway, {"sort": sort}))
        for name, chosen in simple_policies(Random(2)).items():
            found[name] = partial(lambda chosen: map(self._direct, chosen(self._now())), chosen)
        return found

    def _direct(self, slug: str) -> Target:
        return Target(self.port, f"/{slug}/v1/chat/completions", {})

    def _now(self) -> dict[str, Provider]:
        return self.profile.at((time.time() - self.began) / self.seconds)

    async def warm(self) -> None:
        """Each provider has answered a few times, as after some minutes of traffic."""
        seats = asyncio.Semaphore(WARM_AT_ONCE)

        async def one(provider: Provider, number: int) -> None:
            async with seats:
                target = through(self.gateway, {"only": [provider.slug]})
                await ask("warming", f"warming {provider.slug} {number}", [target])

        await asyncio.gather(*(one(provider, n) for n in range(FEWEST) for provider in self.profile.providers))
        # What was counted reaches the router.
        await asyncio.sleep(2)

    def begin(self) -> None:
        """The fleet's clock runs from here."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/begin", timeout=5) as answer:
            self.began = json.load(answer)["began"]

    async def measure(self) -> None:
        prices = [asyncio.create_task(self._reprice(share)) for share in self.profile.price_changes]
        clients = [self._client(name, place) for place, name in enumerate(self.policies)]
        await asyncio.gather(*clients, *prices)

    async def _reprice(self, share: float) -> None:
        """The operator learns of the new prices and imports them."""
        await asyncio.sleep(self.began + share * self.seconds - time.time())
        file = self.stack.directory / "repriced.yaml"
        file.write_text(self._catalogue(share))
        await asyncio.to_thread(manage, self.gateway.environment, "import_catalogue", str(file))

    async def _client(self, policy: str, place: int) -> None:
        """At a constant rate, whatever the answers do; the policies take turns."""
        under_way = []
        for number in range(int(self.seconds * self.rate)):
            due = self.began + (number + place / len(self.policies)) / self.rate
            await asyncio.sleep(max(due - time.time(), 0))
            under_way.append(asyncio.create_task(ask(policy, f"{policy} {number}", self.policies[policy]())))
        self.sent += await asyncio.gather(*under_way)

    def figures(self) -> dict[str, Figures]:
        arrivals = [msgspec.json.decode(line, type=Arrival) for line in self.log.read_bytes().splitlines()]
        return {
            name: figures(
                [one for one in self.sent if one.policy == name], arrivals, self.profile, self.began, self.seconds
            )
            for name in self.policies
        }


def through(gateway: Gateway, preferences: dict[str, object]) -> Target:
    port = int(gateway.url.rsplit(":", 1)[1])
    return Target(port, CHAT, {"provider": preferences} if preferences else {}, gateway.key)


def table(found: dict[str, Figures]) -> str:
    titles = ("requests", "success %", "lost", "p50 ms", "p99 ms", "USD/1000", "misled %", "reaction s")
    lines = [" " * 20 + "".join(title.rjust(14) for title in titles)]
    for name, one in found.items():
        cells = [str(one.requests), short(100 * one.complete / one.requests if one.requests else None), str(one.lost)]
        cells += [short(one.p50_ms), short(one.p99_ms), short(one.cost and one.cost * 1000)]
        cells.append(short(None if one.misled is None else 100 * one.misled))
        cells.append(", ".join("never" if math.isinf(s) else f"{s:.1f}" for s in one.reactions) or "-")
        lines.append(name.ljust(20) + "".join(cell.rjust(14) for cell in cells))
    return "\n".join(lines)


def short(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def flaws(found: dict[str, Figures]) -> list[str]:
    """What is wrong with Turnpike's figures."""
    wrong = []
    for name, one in found.items():
        if not name.startswith("turnpike"):
            continue
        if one.lost or not one.complete:
            wrong.append(
                f"{name}: {one.lost} of {one.requests} requests lost that another provider could have answered"
            )
        if not one.reactions:
            wrong.append(f"{name}: no outage hit what it used, so no reaction was measured")
        elif max(one.reactions) > REACTS_WITHIN_S:
            wrong.append(f"{name}: reaction over {REACTS_WITHIN_S:g} s")
    return wrong


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, leave)
    directory = Path(tempfile.mkdtemp(prefix="turnpike-routing-"))
    directory.chmod(0o755)  # PostgreSQL runs as another user when this runs as root
    print(f"logs in {directory}", flush=True)
    with Stack(directory) as stack:
        run = Run(stack, read_profile(), options.seconds, options.rate)
        asyncio.run(run.warm())
        run.begin()
        asyncio.run(run.measure())
    found = run.figures()
    wrong = flaws(found)
    print(table(found))
    for one in run.sent:
        if one.policy.startswith("turnpike") and not one.is_complete:
            print(f"      {one.user}: {one.said[-200:]!r}")
    print("\n".join(f"FAIL  {line}" for line in wrong) or f"PASS  nothing lost, reactions within {REACTS_WITHIN_S:g} s")
    return 1 if wrong else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/routing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=45, help="of the run that the profile is stretched over")
    parser.add_argument("--rate", type=float, default=3, help="requests a second of each policy")
    return parser.parse_args()


def leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
