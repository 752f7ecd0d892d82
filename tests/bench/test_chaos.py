"""The failure test in its short form, and that its verdict would see what it looks for."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.chaos.verdict import Row, Verdict, weigh

ROOT = Path(__file__).resolve().parents[2]
SERVED = {"outcome": "complete", "prompt_tokens": 12, "completion_tokens": 100, "content_bytes": 400}
PRICE = 12 * 1000 + 100 * 2000


def client(**told: Any) -> dict[str, Any]:
    return {"status": 200, "is_complete": True, "stream": True, "cost": PRICE / 1e9} | told


def row(**told: Any) -> Row:
    fields: dict[str, Any] = {"id": "a", "outcome": "ok", "charge": PRICE, "write_off": 0}
    return Row(**(fields | REST | told))


REST: dict[str, Any] = {"is_estimated": False, "finish_reason": "stop"}
CUT: dict[str, Any] = {"is_complete": False, "status": 0}


@pytest.mark.parametrize(
    ("line", "rows", "served", "found"),
    [
        (client(), [row()], [SERVED], ""),
        (client(), [], [SERVED], "lost"),
        (client(), [row(outcome="error", charge=0)], [SERVED], "lost"),
        (client(), [row(charge=PRICE - 1)], [SERVED], "lost"),
        (client(), [row(), row(id="b")], [SERVED], "doubled"),
        (client(), [row(charge=2 * PRICE)], [SERVED], "doubled"),
        (client(cost=0.5), [row()], [SERVED], "wrong"),
        (client(), [row(charge=PRICE - 5, write_off=5)], [SERVED], ""),
        (client(**CUT), [], [], ""),
        (client(**CUT), [row(charge=2 * PRICE)], [SERVED], "wrong"),
        (client(**CUT, stream=False), [row(outcome="expired", charge=77)], [SERVED], "wrong"),
        (client(**CUT, stream=False), [row(outcome="expired", charge=0)], [SERVED], ""),
        (client(**CUT), [row(outcome="expired", charge=49)], [SERVED], "wrong"),
        (client(**CUT), [row(outcome="expired", charge=50)], [SERVED], ""),
    ],
)
def test_the_verdict_sees_what_it_looks_for(
    line: dict[str, Any], rows: list[Row], served: list[dict[str, Any]], found: str
) -> None:
    verdict = Verdict()
    weigh(verdict, line, rows, served, {"a": 50})
    names = [name for name in ("lost", "doubled", "wrong") if getattr(verdict, name)]
    assert found in names if found else names == []


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_nothing_is_lost_doubled_or_overdrawn_while_everything_is_killed() -> None:
    words = ["--seconds", "45", "--at-once", "100", "--every", "4", "--dead", "1", "--stopped", "6", "--gateways", "2"]
    command = [sys.executable, "-m", "bench.chaos", *words, "--hasten"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    for word in ("lost 0", "doubled 0", "overdrawn 0", "kill postgres", "kill valkey", "kill web0", "kill mock"):
        assert word in done.stdout
