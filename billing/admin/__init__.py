"""Django's admin for money, and for organizations and keys, which are shown with theirs."""

from billing.admin import generations, keys, ledger, margin, markups, organizations, payments, promo

__all__ = ["generations", "keys", "ledger", "margin", "markups", "organizations", "payments", "promo"]
