"""What the clients' and the mock's own logs say against what was charged, promise by promise (docs/billing.md)."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

# Of the catalogue, nano-USD a token.
PROMPT, COMPLETION = 1000, 2000
BYTES_PER_TOKEN = 4
NANO = 10**9
ROWS = (
    "SELECT external_user, id::text, outcome, charge, write_off, is_estimated, coalesce(finish_reason, '')"
    " FROM billing_generation"
)


@dataclass
class Row:
    id: str
    outcome: str
    charge: int
    write_off: int
    is_estimated: bool
    finish_reason: str


@dataclass
class Verdict:
    requests: int = 0
    answered: int = 0
    refused: int = 0
    cut: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Charged, but not what the promises allow."""


def judge(url: str, clients: Path, mock: Path, progress: dict[str, int]) -> Verdict:
    rows: dict[str, list[Row]] = defaultdict(list)
    with psycopg.connect(url) as connection:
        for user, *rest in connection.execute(ROWS):
            rows[user].append(Row(*rest))
    served: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines(mock):
        served[line["user"]].append(line)
    verdict = Verdict()
    for line in lines(clients):
        weigh(verdict, line, rows[line["user"]], served[line["user"]], progress)
    return verdict


def lines(path: Path) -> list[dict[str, Any]]:
    """Without the one that a kill cut in its middle."""
    found = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def weigh(
    verdict: Verdict, line: dict[str, Any], rows: list[Row], served: list[dict[str, Any]], progress: dict[str, int]
) -> None:
    verdict.requests += 1
    who = f"{line} {rows} {served}"
    if len(rows) > 1:
        verdict.doubled.append(who)
    row = rows[0] if rows else None
    if line["is_complete"]:
        verdict.answered += 1
        weigh_answered(verdict, who, line, row, served)
        return
    if line["status"] in (402, 429, 503):
        verdict.refused += 1
    else:
        verdict.cut += 1
    if row is None:
        return
    exact = {price(one) for one in served if one["outcome"] == "complete"}
    charged = row.charge + row.write_off
    if not line["stream"] and charged not in {0, *exact}:
        verdict.wrong.append(f"cut plain request: {who}")
    if line["stream"] and charged > max([*exact, *(most(one) for one in served)], default=0):
        verdict.wrong.append(f"cut stream, more than was served: {who}")
    if line["stream"] and row.outcome == "expired" and charged < progress.get(row.id, 0):
        verdict.wrong.append(f"cut stream, less than was noted ({progress[row.id]}): {who}")


def weigh_answered(
    verdict: Verdict, who: str, line: dict[str, Any], row: Row | None, served: list[dict[str, Any]]
) -> None:
    if row is None or row.outcome != "ok":
        verdict.lost.append(who)
        return
    charged = row.charge + row.write_off
    told = round(line.get("cost", -1) * NANO)
    if told not in (row.charge, charged):
        verdict.wrong.append(f"told {told}: {who}")
    if row.is_estimated and row.finish_reason == "length":
        # Stopped as credit was used up: the mock counted what it had sent by then, which may be more than came.
        if charged > max((most(one) for one in served), default=0):
            verdict.wrong.append(f"stopped stream: {who}")
        return
    exact = [price(one) for one in served if one["outcome"] == "complete"]
    if charged not in exact:
        (verdict.lost if not exact or charged < min(exact) else verdict.doubled).append(who)


def price(served: dict[str, Any]) -> int:
    return int(served["prompt_tokens"]) * PROMPT + int(served["completion_tokens"]) * COMPLETION


def most(served: dict[str, Any]) -> int:
    """Of an answer that was cut: tokens are estimated by their bytes, the prompt by its own."""
    return 100 * PROMPT + -(-int(served["content_bytes"]) // BYTES_PER_TOKEN) * COMPLETION
