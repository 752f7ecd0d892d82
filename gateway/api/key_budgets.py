"""What bounds a key beside the organization's credit, as /key lists it (§1.6, KeyBudget)."""

from datetime import UTC, datetime
from typing import Any

from accounts import access
from accounts.models import ApiKey, Window
from billing import budgets
from billing.budgets import UNUSED, BudgetUsage
from billing.money import NANO_PER_USD


def key_budgets(key: ApiKey) -> list[dict[str, Any]]:
    """The key's own limit, its maker's budget, the organization's: those that are set."""
    bounds: list[tuple[str, Any, int | None, Window | None]] = [("key_limit", key.pk, key.limit_nano, key.window)]
    if (member := access.maker_of(key)) is not None:
        bounds.append(("member", member.budget_id, member.budget_nano, member.budget_window))
    found = key.organization
    bounds.append(("workspace", found.budget_id, found.budget_nano, found.budget_window))
    set_ones = [bound for bound in bounds if bound[2] is not None]
    used = budgets.usages(budget_id for _, budget_id, _, _ in set_ones)
    now = datetime.now(UTC)
    return [
        row(scope, budget_id, nano or 0, window, used.get(budget_id, UNUSED), now)
        for scope, budget_id, nano, window in set_ones
    ]


def effective(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one that ends first."""
    return min(rows, key=lambda found: found["remaining_usd"], default=None)


def row(
    scope: str, budget_id: object, nano: int, window: Window | None, used: BudgetUsage, now: datetime
) -> dict[str, Any]:
    spent = used.within(window or "")
    return {
        "budget_id": None if scope == "key_limit" else str(budget_id),
        "guardrail_id": None,
        "include_byok": False,
        "limit_usd": nano / NANO_PER_USD,
        "spend_usd": spent / NANO_PER_USD,
        "remaining_usd": max(nano - spent, 0) / NANO_PER_USD,
        "reset_interval": window,
        "resets_at": budgets.resets_at(window, now),
        "scope": scope,
    }
