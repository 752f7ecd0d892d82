"""A load generator for chat completions: closed loop, open loop, and streams held open. See bench/README.md."""

import argparse
import asyncio
import json
import math
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench.drive import ClosedLoop, Loop, OpenLoop, Target
from bench.machine import Footprint, busy_s, footprint, raise_file_limit
from bench.tally import Tally

PATHS = {
    "chat": "/chat/completions",
    "messages": "/messages",
    "responses": "/responses",
    "completions": "/completions",
}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    tally = Tally()
    loop = _loop(options, tally)
    await loop.connect()
    begin = time.monotonic_ns() + 20_000_000
    settled = options.warmup + (options.ramp if options.mode == "streams" else 0)
    tally.start_ns = begin + int(settled * 1e9)
    tally.end_ns = tally.start_ns + int(options.seconds * 1e9)
    loop.begin(begin)
    await _sleep_until(tally.start_ns)
    before, own, busy = _footprints(options.watch), time.process_time(), busy_s()
    await _sleep_until(tally.end_ns)
    after, own, busy = _footprints(options.watch), time.process_time() - own, busy_s() - busy
    loop.stop_sending()
    await loop.finish(options.grace)
    return tally.summary() | {
        "mode": options.mode,
        "load_cpu_s": round(own, 3),
        "machine_cpu_s": round(busy, 3),
        "watch": {name: _difference(before[name], after[name]) for name in before},
    }


def table(result: dict[str, Any]) -> str:
    """What a person wants to read of `run`'s answer."""
    lines = [
        f"{result['mode']}, {result['seconds']:g} s: {result['requests']} answers, {result['requests_per_s']}/s",
        f"  {'whole run':<12} {result['answered']} of {result['sent']} answered, errors: {result['errors'] or 'none'}",
    ]
    for name in ("latency_ms", "ttft_ms", "lateness_ms"):
        if result[name]:
            points = "  ".join(f"{point} {value:9.3f}" for point, value in result[name].items())
            lines.append(f"  {name:<12} {points}")
    if result["chunks_received"]:
        lines.append(
            f"  {'chunks':<12} {result['chunks']} in the window, {result['chunks_per_s']}/s; whole run "
            f"{result['chunks_received']} of {result['chunks_expected']}, disordered {result['disordered']}"
        )
    lines.append(f"  {'usage':<12} prompt {result['prompt_tokens']}, completion {result['completion_tokens']} tokens")
    for name, seen in result["watch"].items():
        lines.append(
            f"  {name:<12} {seen['cpu_s']:.2f} s CPU, {seen['rss_kb'] / 1024:.0f} MB, {seen['threads']} threads"
        )
    return "\n".join(lines)


def _loop(options: argparse.Namespace, tally: Tally) -> Loop:
    if options.mode == "streams" and options.chunks is None:
        whole = options.ramp + options.warmup + options.seconds + 1  # they outlast the window by a second
        options.chunks = math.ceil(whole * 1000 / options.every)
    target = Target(*_address(options.url), _request(options), options.stream, options.chunks)
    if options.mode == "closed":
        return ClosedLoop(target, tally, options.connections)
    if options.mode == "open":
        return OpenLoop(target, tally, options.connections, rate=options.rate)
    rate = options.connections / max(options.ramp, 0.001)
    return OpenLoop(target, tally, options.connections, rate=rate, total=options.connections)


def _request(options: argparse.Namespace) -> bytes:
    words = "Tell the bench something. "
    prompt = (words * (options.prompt_bytes // len(words) + 1))[: options.prompt_bytes]
    payload = json.dumps(_body(options, prompt)).encode()
    url = urlsplit(options.url)
    head = [f"POST {url.path} HTTP/1.1", f"Host: {url.netloc}", "Content-Type: application/json", *options.header]
    if options.key:
        head.append(f"Authorization: Bearer {options.key}")
    return "\r\n".join([*head, f"Content-Length: {len(payload)}", "", ""]).encode() + payload


def _body(options: argparse.Namespace, prompt: str) -> dict[str, Any]:
    """As a client of the skin writes it."""
    body: dict[str, Any] = {"model": options.model}
    if options.skin == "responses":
        body["input"] = prompt
    elif options.skin == "completions":
        body["prompt"] = prompt
    else:
        body["messages"] = [{"role": "user", "content": prompt}]
    if options.stream:
        body["stream"] = True
    if options.stream and options.skin == "chat":
        body["stream_options"] = {"include_usage": True}
    if options.chunks is not None:
        body["max_output_tokens" if options.skin == "responses" else "max_tokens"] = options.chunks
    return body


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        sys.exit(f"load: {url!r} is no http:// URL")
    return parts.hostname, parts.port or 80


def _footprints(watch: list[str]) -> dict[str, Footprint]:
    named = (one.partition("=") for one in watch)
    return {name: footprint([int(pid) for pid in pids.split(",")]) for name, _, pids in named}


def _difference(before: Footprint, after: Footprint) -> dict[str, float | int]:
    return {"cpu_s": round(after.cpu_s - before.cpu_s, 3), "rss_kb": after.rss_kb, "threads": after.threads}


async def _sleep_until(moment_ns: int) -> None:
    await asyncio.sleep(max(0.0, (moment_ns - time.monotonic_ns()) / 1e9))


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("url", help="the whole URL, such as http://127.0.0.1:9101/v1/chat/completions")
    add("--mode", choices=("closed", "open", "streams"), default="closed")
    add("--stream", action="store_true", help="ask for a stream (mode streams always does)")
    add("--connections", type=int, default=64, help="in mode streams: how many streams")
    add("--rate", type=float, default=50.0, help="mode open: requests per second")
    add("--ramp", type=float, default=2.0, help="mode streams: seconds over which they start")
    add("--every", type=float, default=20.0, help="mode streams: the upstream's ms between chunks")
    add("--chunks", type=int, help="chunks a stream must have, asked for as max_tokens")
    add("--warmup", type=float, default=1.0)
    add("--seconds", type=float, default=5.0, help="the window that counts")
    add("--grace", type=float, default=15.0, help="seconds for the last answers")
    add("--model", default="mock")
    add("--key", default="", help="sent as a bearer token")
    add("--skin", choices=PATHS, default="chat", help="what the client speaks; the URL must be its path")
    add("--header", action="append", default=[], help='another header, "Name: value"')
    add("--prompt-bytes", type=int, default=200)
    add("--watch", action="append", default=[], metavar="NAME=PID,…", help="report these processes over the window")
    add("--json", action="store_true", help="print JSON")
    options = parser.parse_args(words)
    options.stream = options.stream or options.mode == "streams"
    return options


def main() -> None:
    options = arguments()
    raise_file_limit()
    result = uvloop.run(run(options))
    print(json.dumps(result) if options.json else table(result))


if __name__ == "__main__":
    main()
