"""How hard a model shall think: clients name an effort or a budget, vendors take one of them (reference §2.7)."""

from providers.canonical import Effort, Reasoning

RATIOS: dict[Effort, float] = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}
# The parameters by which an endpoint lists that its model reasons.
REASONING = ("reasoning", "reasoning_effort", "include_reasoning")
LEAST_BUDGET = 1024
MOST_BUDGET = 128_000
# From what share of max_tokens on a budget is that effort.
EFFORTS: tuple[tuple[float, Effort], ...] = ((0.95, "xhigh"), (0.8, "high"), (0.5, "medium"), (0.2, "low"))


def is_off(reasoning: Reasoning) -> bool:
    return reasoning.enabled is False or reasoning.effort == "none"


def budget(reasoning: Reasoning, max_tokens: int | None) -> int:
    """Tokens to think with."""
    if reasoning.max_tokens is not None:
        return reasoning.max_tokens
    share = int((max_tokens or 0) * RATIOS.get(reasoning.effort or "medium", 0.5))
    return max(min(share, MOST_BUDGET), LEAST_BUDGET)


def effort(reasoning: Reasoning, max_tokens: int | None) -> Effort:
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.max_tokens is None or not max_tokens:
        return "medium"
    share = reasoning.max_tokens / max_tokens
    return next((name for least, name in EFFORTS if share >= least), "minimal")


def nearest(wanted: Effort, known: tuple[str, ...]) -> str:
    """A vendor's next word for it, rather less than more."""
    order = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
    place = order.index(wanted)
    lower = [word for word in order[: place + 1] if word in known and (word != "none" or wanted == "none")]
    higher = [word for word in order[place:] if word in known]
    return lower[-1] if lower else (higher[0] if higher else wanted)
