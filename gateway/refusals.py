"""Why a request is not admitted, in the words and numbers of the reference (§3.3)."""

from datetime import UTC, datetime

from msgspec import Struct

from accounts.callers import Caller
from billing.budgets import resets_at
from billing.errors import Refused
from billing.money import NANO_PER_USD
from gateway.errors import ApiError
from gateway.generation import Generation
from providers.snapshot import Endpoint

# Holds of other requests end soon.
RETRY_S = 2


class Lacking(Struct, frozen=True):
    source: str
    what: str
    remedy: str


CREDITS = Lacking("openrouter_credits", "your organization's credits", "Add credits")
KEY_LIMIT = Lacking("openrouter_key_limit", "this key's limit", "Raise the key's limit")
BUDGET = Lacking("openrouter_in_flight_budget", "the budget that your administrator has set", "Have it raised")


def refused(refusal: Refused, generation: Generation, candidates: list[Endpoint]) -> ApiError:
    caller = generation.caller
    if refusal.by == "credits":
        return lacking(CREDITS, refusal, generation, candidates)
    if refusal.by == str(caller.key_id):
        return lacking(KEY_LIMIT, refusal, generation, candidates)
    if is_only_held(refusal):
        return lacking(BUDGET, refusal, generation, candidates)
    return over_budget(refusal, caller)


def lacking(of: Lacking, refusal: Refused, generation: Generation, candidates: list[Endpoint]) -> ApiError:
    """402: what was asked, what is affordable, and whether waiting helps."""
    prompt, limit = generation.size.prompt, generation.size.output_limit
    asked = f"up to {limit} tokens" if limit else "as many tokens as the model gives"
    tokens = affordable(refusal.free, generation, candidates)
    hint = f"{of.remedy}, or ask for less: a shorter prompt or a lower max_tokens."
    least, free = usd(refusal.least), usd(max(refusal.free, 0))
    message = (
        f"This request asks for {asked} of answer to a prompt of up to {prompt}, and needs at least ${least},"
        f" but {of.what} can only afford ${free} now ({tokens} tokens). {hint}"
    )
    metadata: dict[str, object] = {"limit_source": of.source, "reason": "weight_exceeds_budget", "remedy_hint": hint}
    if not is_only_held(refusal):
        return ApiError(402, message, metadata=metadata)
    hint = "Other requests that are under way hold the rest. Try again when they have ended."
    metadata |= {
        "limit_source": "openrouter_in_flight_budget",
        "reason": "in_flight_budget_exhausted",
        "remedy_hint": hint,
    }
    return ApiError(402, f"{message} {hint}", metadata=metadata, retry_after=RETRY_S)


def over_budget(refusal: Refused, caller: Caller) -> ApiError:
    """403: what an administrator has set is used up."""
    place = [str(budget) for budget in caller.budgets].index(refusal.by)
    limit, window = caller.limits[place] or 0, caller.windows[place]
    is_organizations = refusal.by == str(caller.organization_id)
    resets = resets_at(window, datetime.now(UTC))
    name = f"{'Organization' if is_organizations else 'Member'}{f' {window}' if window else ''} budget"
    metadata: dict[str, object] = {
        "limit_source": "openrouter_workspace_budget" if is_organizations else "openrouter_guardrail_budget",
        "scope": "workspace" if is_organizations else "member",
        "limit_usd": limit / NANO_PER_USD,
        "spend_usd": (limit - refusal.free - refusal.held) / NANO_PER_USD,
        "resets_at": resets and resets.isoformat().replace("+00:00", "Z"),
    }
    return ApiError(
        403,
        f"{name} of ${limit / NANO_PER_USD:.2f} exceeded. Contact your organization's administrator.",
        metadata=metadata,
    )


def is_only_held(refusal: Refused) -> bool:
    unspent = refusal.free + refusal.held
    return refusal.held > 0 and unspent > 0 and refusal.least <= unspent


def affordable(free: int, generation: Generation, candidates: list[Endpoint]) -> int:
    """Tokens of answer that `free` pays for at the cheapest endpoint."""
    size = generation.size
    prices = [endpoint.price for endpoint in candidates if endpoint.price]
    found = [price.affordable_completion(free, size.prompt, size.units) for price in prices]
    most = max((tokens for tokens in found if tokens is not None), default=0)
    return max(most, 0) // max(size.answers, 1)


def usd(nano: int) -> str:
    """Dollars for a sentence: enough digits that a tenth of a cent's part is not rounded away."""
    return f"{nano / NANO_PER_USD:.6f}"
