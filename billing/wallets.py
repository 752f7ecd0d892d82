"""An organization's wallet, to look at."""

from uuid import UUID

from accounts.access import in_organization
from billing.models import Wallet


def wallet_of(organization_id: UUID) -> Wallet:
    """An empty one where no money ever was; it is not saved."""
    found = in_organization(Wallet.objects.all(), organization_id).first()
    return found or Wallet(organization_id=organization_id)
