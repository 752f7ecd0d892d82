"""Medians over the rounds, a table for each scenario, and the gates."""

from collections.abc import Iterable
from math import nan
from statistics import median

from bench.measure import BESIDE, Measurement
from bench.scenarios import GATES, SCENARIOS, Gate, Scenario

TITLES = {
    "requests_per_s": "requests/s",
    "chunks_per_s": "chunks/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "added_p50_ms": "added p50 ms",
    "added_p99_ms": "added p99 ms",
    "late_p50_ms": "late p50 ms",
    "late_p99_ms": "late p99 ms",
    "delivered": "delivered",
    "rss_mb": "RSS MB",
    "threads": "threads",
}
IN_USE = ("self", "load", "mock", "others")
NOISE_PERCENT = 20
WIDTH = 24


class Results:
    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self.all = list(measurements)

    def values(self, scenario: str, candidate: str, metric: str) -> list[float]:
        found = (m for m in self.all if (m.scenario, m.candidate) == (scenario, candidate))
        return [m.metrics[metric] for m in found if metric in m.metrics]

    def candidates(self, scenario: str) -> list[str]:
        return sorted({m.candidate for m in self.all if m.scenario == scenario}, key=_order)

    def table(self, scenario: Scenario) -> str:
        titles = [TITLES.get(metric) or f"CPU µs/{scenario.unit}" for metric in scenario.shown]
        lines = [scenario.title, " " * 10 + "".join(title.rjust(WIDTH) for title in titles)]
        for candidate in self.candidates(scenario.name):
            cells = (_spread(self.values(scenario.name, candidate, metric)) for metric in scenario.shown)
            lines.append(candidate.ljust(10) + "".join(cell.rjust(WIDTH) for cell in cells))
        return "\n".join([*lines, *self._remarks(scenario)])

    def gates(self) -> list[tuple[Gate, float, bool]]:
        """Each gate whose scenario was measured, its value, and whether it passes."""
        judged = []
        for gate in GATES:
            if "gateway" not in self.candidates(gate.scenario):
                continue
            # Without a single good answer there is no value, and nan passes no comparison.
            values = self.values(gate.scenario, "gateway", gate.metric) or [nan]
            value = min(values) if gate.of == "min" else median(values)
            judged.append((gate, value, gate.passes(value, gate.limit)))
        return judged

    def errors(self) -> list[str]:
        return [f"{m.scenario}, {m.candidate}, round {m.round}: {m.errors}" for m in self.all if m.errors]

    def noisy(self) -> list[str]:
        """Measurements of the gateway that shared the machine with something else."""
        gateway = (m for m in self.all if m.candidate == "gateway")
        return [f"{m.scenario} round {m.round}" for m in gateway if m.metrics.get("others_busy", 0) > NOISE_PERCENT]

    def _remarks(self, scenario: Scenario) -> Iterable[str]:
        beside = [(name, self.values(scenario.name, "gateway", f"{name}_us")) for name in BESIDE]
        if any(values for _, values in beside):
            costs = ", ".join(f"{name} {_spread(values)}" for name, values in beside if values)
            yield f"  beside the gateway, CPU µs/{scenario.unit}: {costs}"
        ours, peer = (self.values(scenario.name, name, "cpu_us") for name in ("gateway", "nginx"))
        if ours and peer and median(peer):
            yield f"  gateway ÷ nginx, CPU: {median(ours) / median(peer):.1f}"
        for candidate in self.candidates(scenario.name):
            busy = {name: self.values(scenario.name, candidate, f"{name}_busy") for name in IN_USE}
            shares = ", ".join(f"{name} {median(values):.0f} %" for name, values in busy.items() if values)
            yield f"  CPU in use with {candidate}: {shares}"


def text(results: Results) -> str:
    measured = [s for s in SCENARIOS.values() if results.candidates(s.name)]
    return "\n\n".join(results.table(scenario) for scenario in measured)


def verdict(results: Results) -> str:
    lines = [
        f"{'PASS' if passed else 'FAIL'}  {gate.says} {gate.limit:g}: {value:.4g}"
        for gate, value, passed in results.gates()
    ]
    errors = results.errors()
    lines.append("PASS  no answer was wrong or missing" if not errors else "FAIL  answers were wrong or missing")
    noisy = results.noisy()
    if noisy:
        lines.append(f"NOISY other programs took more than {NOISE_PERCENT} % of a core: {', '.join(noisy)}")
    return "\n".join([*lines, *(f"      {error}" for error in errors)])


def _order(candidate: str) -> tuple[int, str]:
    known = ("direct", "nginx", "gateway")
    return (known.index(candidate) if candidate in known else len(known), candidate)


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    low, middle, high = (_short(value) for value in (min(values), median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low}–{high})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
