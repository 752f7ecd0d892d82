"""Visitors of the playground: keys for people without an account, paid by an organization that the operator names."""

import hmac
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Organization

# The model that runs on this machine, and no other.
PROVIDER = "local"
PER_HOUR = 6
LASTS = timedelta(minutes=15)
KEPT = timedelta(days=1)
# What one household or server has of IPv6: they would else have an address for each request.
NETWORK_BITS = 64


def payer() -> Organization | None:
    """None: visitors are asked to sign up."""
    named = settings.VISITORS_ORGANIZATION
    return Organization.objects.filter(pk=named).first() if named else None


def issue(organization: Organization, address: str | None) -> str:
    """A key for a quarter of an hour. However many an address has, they share its requests (gateway/rate_limits.py)."""
    _, token = keys.issue(
        organization,
        name="Visitor",
        expires_at=timezone.now() + LASTS,
        is_playground=True,
        visitor=mark(address or ""),
    )
    return token


def mark(address: str) -> UUID:
    """Of where somebody comes from, without telling where that is."""
    return UUID(bytes=hmac.digest(keys.pepper(), f"visitor {network_of(address)}".encode(), "sha256")[:16])


def network_of(address: str) -> str:
    """The address itself, or its network where one has many."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    # 192.0.2.7 may come as ::ffff:192.0.2.7.
    return str(found.ipv4_mapped or IPv6Network((found, NETWORK_BITS), strict=False))


def prune() -> None:
    """Nobody looks for them later: their requests are known by their own rows."""
    ApiKey.objects.filter(expires_at__lt=timezone.now() - KEPT).exclude(visitor=None).delete()
