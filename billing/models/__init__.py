"""How much is left: wallets, budgets, holds, the ledger, and the record of every generation.

The till (billing/sql/till.sql) writes wallets, budgets, holds and generations; nothing else does, but for `ledger.py`,
which moves a wallet's credit together with the entry that says why.
"""

# Django finds an app's models in this package only.
import billing.payments.models  # noqa: F401
from billing.models.generations import Generation, GenerationContent, Hold, Idempotency, Tick
from billing.models.ledger import LedgerEntry, LedgerTransaction, Promotion
from billing.models.usage import Usage, UsageApp, UsageDay, UsageHour, UsageMark, UsageTotal
from billing.models.wallets import Budget, Markup, Wallet

__all__ = [
    "Budget",
    "Generation",
    "GenerationContent",
    "Hold",
    "Idempotency",
    "LedgerEntry",
    "LedgerTransaction",
    "Markup",
    "Promotion",
    "Tick",
    "Usage",
    "UsageApp",
    "UsageDay",
    "UsageHour",
    "UsageMark",
    "UsageTotal",
    "Wallet",
]
