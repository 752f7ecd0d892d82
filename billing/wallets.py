"""An organization's wallet, to look at."""

from uuid import UUID

from django.db.models import Sum

from accounts.access import in_organization
from billing.models import LedgerEntry, LedgerTransaction, Wallet


def wallet_of(organization_id: UUID) -> Wallet:
    """An empty one where no money ever was; it is not saved."""
    found = in_organization(Wallet.objects.all(), organization_id).first()
    return found or Wallet(organization_id=organization_id)


def given_in_all(organization_id: UUID) -> int:
    """Credit that was ever bought or granted, nano-USD."""
    kinds = (LedgerTransaction.Kind.TOP_UP, LedgerTransaction.Kind.GRANT)
    # That it is no usage is said for the index: those are nearly all there are.
    given = in_organization(LedgerTransaction.objects.exclude(kind=LedgerTransaction.Kind.USAGE), organization_id)
    entries = given.filter(kind__in=kinds, entries__account=LedgerEntry.Account.WALLET)
    total: int | None = entries.aggregate(total=Sum("entries__amount"))["total"]
    return total or 0
