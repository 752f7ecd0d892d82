"""Proves that till and book agree, or says what is off."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from billing.money import usd
from billing.verification import Figures, figures, findings

COUNTS = ("wallets", "open_holds", "closing_records", "transactions", "entries")


class Command(BaseCommand):
    help = "Checks wallets, holds, closing records, ledger and roll-ups against each other. Ends with 1 if they differ."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # One snapshot: each call to the till is in it whole or not at all, and nobody waits.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._print(figures(cursor))
            off = list(findings(cursor))
        for finding in off:
            self.stdout.write(f"OFF {finding.check}: {finding.subject}: {finding.detail}")
        if off:
            raise CommandError(f"{len(off)} differences")
        self.stdout.write("All checks passed.")

    def _print(self, found: Figures) -> None:
        amounts = msgspec.structs.asdict(found)
        accounts = amounts.pop("accounts")
        for name, value in amounts.items():
            self.stdout.write(f"{name.replace('_', ' '):20} {f'{value:,}' if name in COUNTS else usd(value):>26}")
        self.stdout.write("accounts, USD:")
        for account, amount in accounts.items():
            self.stdout.write(f"  {account:18} {usd(amount):>26}")
