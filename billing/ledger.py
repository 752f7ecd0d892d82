"""The double-entry ledger: every change of credit, with the entries that say why, in one transaction."""

from typing import Required, TypedDict, Unpack

from django.db import connection, transaction
from django.db.models import F

from accounts.models import Organization, User
from billing.models import LedgerEntry, LedgerTransaction, Wallet

NANO_PER_USD = 10**9


class Movement(TypedDict, total=False):
    reason: Required[str]
    created_by: User | None
    reference: str | None


def grant(organization: Organization, *, amount: int, **why: Unpack[Movement]) -> LedgerTransaction:
    """Gives credit (nano-USD, more than 0) without a payment. A reference is posted once: IntegrityError."""
    if amount <= 0:
        raise ValueError("a grant must be more than 0")
    return _move(organization, amount, LedgerTransaction.Kind.GRANT, LedgerEntry.Account.GRANTS, why)


def correct(organization: Organization, *, amount: int, **why: Unpack[Movement]) -> LedgerTransaction:
    """Puts credit right by an operator's word (nano-USD, not 0), even below what is spent. Else as `grant`."""
    if amount == 0:
        raise ValueError("a correction must not be 0")
    return _move(organization, amount, LedgerTransaction.Kind.CORRECTION, LedgerEntry.Account.CORRECTIONS, why)


def post(posted: LedgerTransaction, amounts: dict[LedgerEntry.Account, int]) -> None:
    """The entries of a transaction; the database refuses them if they do not sum to zero."""
    LedgerEntry.objects.bulk_create(
        LedgerEntry(transaction=posted, organization_id=posted.organization_id, account=account, amount=amount)
        for account, amount in amounts.items()
    )


def _move(
    organization: Organization,
    amount: int,
    kind: LedgerTransaction.Kind,
    other_side: LedgerEntry.Account,
    why: Movement,
) -> LedgerTransaction:
    with transaction.atomic():
        Wallet.objects.for_organization(organization)
        # The row lock of this UPDATE orders it with the till's calls; credit and entry become true together.
        Wallet.objects.filter(organization=organization).update(credit=F("credit") + amount, version=F("version") + 1)
        posted = LedgerTransaction.objects.create(kind=kind, organization=organization, **why)
        post(posted, {LedgerEntry.Account.WALLET: amount, other_side: -amount})
    return posted


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
