"""`python -m bench.chaos`: kills everything under load and counts what money did. See bench/README.md."""

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import psycopg

from bench.chaos.stage import Stage
from bench.chaos.verdict import Verdict, judge
from bench.chaos.watch import Watch
from bench.stack import Stack

# Some run dry, some do not.
CREDITS = ("0.02", "0.05", "0.2", "1", "5", "5")
EXPIRY_S = 240


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, leave)
    directory = Path(tempfile.mkdtemp(prefix="turnpike-chaos-", dir="/tmp"))
    directory.chmod(0o755)
    print(f"logs in {directory}")
    with Stack(directory) as stack:
        stage = Stage(stack, options.gateways)
        stage.start()
        watch = Watch(stage.postgres.url())
        watch.start()
        kills = under_load(stage, options)
        left = end_of_holds(stage, at_once=options.hasten)
        watch.end()
        stage.manage("shell", "-c", "from billing.tasks import post; post()")
        book = stage.try_manage("verify_ledger")
        verdict = judge(stage.postgres.url(), directory / "clients.jsonl", stage.mock_log, watch.progress)
    return report(verdict, watch, kills=kills, left=left, book=book.stdout if book.returncode else "")


def under_load(stage: Stage, options: argparse.Namespace) -> int:
    """How many processes were killed or stopped while the clients asked."""
    keys = [stage.key(f"tenant{place}@chaos.local", credits) for place, credits in enumerate(CREDITS)]
    told = stage.directory / "told.json"
    told.write_text(
        json.dumps(
            {"ports": stage.ports, "keys": keys, "at_once": options.at_once, "until": time.time() + options.seconds}
        )
    )
    end = time.monotonic() + options.seconds
    words = ["-m", "bench.chaos.clients", str(told), str(stage.directory / "clients.jsonl")]
    clients = stage.stack.start("clients", [sys.executable, *words])
    kills = 0
    order = ["web0", "postgres", "valkey", "worker", "mock", "pause web1", "postgres", "web1", "beat"]
    while (pause := options.every) and time.monotonic() + pause < end - options.every:
        time.sleep(pause)
        verb, _, name = order[kills % len(order)].rpartition(" ")
        print(f"{time.strftime('%H:%M:%S')} {verb or 'kill'} {name}", flush=True)
        if verb:
            stage.pause(name, options.stopped)
        else:
            stage.kill(name)
            time.sleep(options.dead)
            stage.start_one(name)
        kills += 1
    clients.wait()
    return kills


def end_of_holds(stage: Stage, *, at_once: bool) -> int:
    """Holds that are left when those of the dead have had their time."""
    deadline = time.monotonic() + EXPIRY_S
    with psycopg.connect(stage.postgres.url(), autocommit=True) as connection:
        # What living gateways still settle is theirs.
        time.sleep(6)
        if at_once:
            connection.execute("UPDATE billing_tick SET value = value + 12")
        while True:
            row = connection.execute("SELECT count(*) FROM billing_hold").fetchone()
            left = int(row[0]) if row else 0
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.5)


def report(verdict: Verdict, watch: Watch, *, kills: int, left: int, book: str) -> int:
    print(f"requests {verdict.requests}: answered {verdict.answered}, refused {verdict.refused}, cut {verdict.cut}")
    print(f"kills {kills}")
    print(f"lost {len(verdict.lost)}")
    print(f"doubled {len(verdict.doubled)}")
    print(f"overdrawn {watch.overdrawn} (of {watch.looks} looks)")
    print(f"wrong {len(verdict.wrong)}, holds left {left}, book {'off' if book else 'proved'}")
    for about in [*verdict.lost, *verdict.doubled, *verdict.wrong][:20]:
        print(f"  {about}")
    if book:
        print(book)
    failed = verdict.lost or verdict.doubled or verdict.wrong or watch.overdrawn or left or book
    return 1 if failed or not verdict.answered or not watch.looks else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=600)
    add("--at-once", type=int, default=300, help="requests under way at any moment")
    add("--gateways", type=int, default=3)
    add("--every", type=float, default=10, help="seconds between two kills")
    add("--dead", type=float, default=2, help="seconds before what was killed starts again")
    add("--stopped", type=float, default=60, help="seconds for which a gateway is stopped")
    add("--hasten", action="store_true", help="let the holds of the dead expire at once at the end")
    return parser.parse_args()


def leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
