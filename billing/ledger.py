"""The double-entry ledger: every change of credit, with the entries that say why, in one transaction."""

from django.db import connection, transaction
from django.db.models import F

from accounts.models import Organization, User
from billing.models import LedgerEntry, LedgerTransaction, Wallet

NANO_PER_USD = 10**9


def grant(
    organization: Organization,
    *,
    amount: int,
    reason: str,
    created_by: User | None = None,
    reference: str | None = None,
) -> LedgerTransaction:
    """Gives credit (nano-USD, more than 0) without a payment."""
    if amount <= 0:
        raise ValueError("a grant must be more than 0")
    with transaction.atomic():
        Wallet.objects.for_organization(organization)
        # The row lock of this UPDATE orders it with the till's calls; credit and entry become true together.
        Wallet.objects.filter(organization=organization).update(credit=F("credit") + amount, version=F("version") + 1)
        posted = LedgerTransaction.objects.create(
            kind=LedgerTransaction.Kind.GRANT,
            organization=organization,
            reason=reason,
            created_by=created_by,
            reference=reference,
        )
        post(posted, {LedgerEntry.Account.WALLET: amount, LedgerEntry.Account.GRANTS: -amount})
    return posted


def post(posted: LedgerTransaction, amounts: dict[LedgerEntry.Account, int]) -> None:
    """The entries of a transaction; the database refuses them if they do not sum to zero."""
    LedgerEntry.objects.bulk_create(
        LedgerEntry(transaction=posted, organization_id=posted.organization_id, account=account, amount=amount)
        for account, amount in amounts.items()
    )


def post_usage() -> int:
    """Moves what settlements have added to wallets into the ledger. Returns how many wallets."""
    total = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT till_post()")
            (posted,) = cursor.fetchone() or (0,)
            if not posted:
                return total
            total += posted
