"""`bench/run`: interleaved rounds of the mock itself, nginx and the gateway. See bench/README.md."""

import argparse
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import yaml

from bench import machine, profiling, report
from bench.gateway import start_gateway
from bench.measure import Candidate, Measurement, add_against, measure
from bench.scenarios import SCENARIOS, Scenario
from bench.stack import Stack

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
PATH = "/chat/completions"
CANDIDATES = ("direct", "nginx", "gateway")


def main() -> int:
    options = _arguments()
    signal.signal(signal.SIGTERM, _exit)  # so that everything started is stopped
    about = machine.describe()
    print("  ".join(f"{name}: {value}" for name, value in about.items()))
    directory = Path(tempfile.mkdtemp(prefix="turnpike-bench-"))
    directory.chmod(0o755)  # PostgreSQL runs as another user when this runs as root
    print(f"logs in {directory}")
    with Stack(directory) as stack:
        candidates = _candidates(stack, options.only)
        measured = _rounds(candidates, [SCENARIOS[name] for name in options.scenario], options)
        if options.profile:
            _profile(candidates[-1], options, directory)
    results = report.Results(measured)
    print(f"\n{report.text(results)}\n\n{report.verdict(results)}")
    if options.json:
        options.json.write_text(json.dumps(_document(about, results), indent=1))
    return 0 if all(passed for _, _, passed in results.gates()) and not results.errors() else 1


def _candidates(stack: Stack, only: list[str]) -> list[Candidate]:
    """In the order in which they are measured; the gateway last."""
    names = _upstream_names()
    port, mock = stack.mock()
    found = [Candidate("direct", f"http://127.0.0.1:{port}/v1{PATH}", names, watch={"mock": [mock]})]
    if "nginx" in only and (peer := stack.nginx(port)):
        url = f"http://127.0.0.1:{peer[0]}/v1{PATH}"
        found.append(Candidate("nginx", url, names, watch={"self": [peer[1]], "mock": [mock]}))
    if "gateway" in only:
        gateway = start_gateway(stack, CATALOGUE.read_text().replace("127.0.0.1:9101", f"127.0.0.1:{port}"))
        watch = {"self": gateway.web, "mock": [mock], **gateway.beside}
        found.append(Candidate("gateway", f"{gateway.url}/api/v1{PATH}", key=gateway.key, watch=watch))
    return [candidate for candidate in found if candidate.name in only]


def _rounds(candidates: list[Candidate], scenarios: list[Scenario], options: argparse.Namespace) -> list[Measurement]:
    measured: list[Measurement] = []
    for round_ in range(1, options.rounds + 1):
        for scenario in scenarios:
            direct: Measurement | None = None
            for candidate in candidates:
                if scenario.skin != "chat" and candidate.name != "gateway":
                    continue
                print(f"round {round_}: {scenario.name}, {candidate.name}", file=sys.stderr)
                one = measure(scenario, candidate, round_, options.seconds)
                direct = one if candidate.name == "direct" else direct
                add_against(direct, one)
                measured.append(one)
                time.sleep(0.5)  # what the last load left behind settles
    return measured


def _profile(candidate: Candidate, options: argparse.Namespace, directory: Path) -> None:
    for name in options.scenario:
        print(f"\n{profiling.profile(SCENARIOS[name], candidate, options.seconds, directory)}")


def _upstream_names() -> dict[str, str]:
    models = yaml.safe_load(CATALOGUE.read_text())["models"]
    return {model["slug"]: model["endpoints"][0]["upstream_model"] for model in models}


def _document(about: dict[str, str | int], results: report.Results) -> dict[str, object]:
    gates = [{"gate": gate.says, "limit": gate.limit, "value": v, "pass": ok} for gate, v, ok in results.gates()]
    return {"machine": about, "gates": gates, "measurements": [asdict(one) for one in results.all]}


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=5.0, help="the window that counts, for each measurement")
    add("--scenario", action="append", choices=SCENARIOS, help="only this one; may be repeated")
    add("--only", action="append", choices=CANDIDATES, help="only this candidate; may be repeated")
    add("--json", type=Path, metavar="FILE", help="write every measurement there")
    add("--profile", action="store_true", help="then profile the gateway (py-spy or perf) in each scenario")
    options = parser.parse_args()
    options.scenario = options.scenario or list(SCENARIOS)
    options.only = options.only or list(CANDIDATES)
    return options


if __name__ == "__main__":
    sys.exit(main())
