"""What an organization and a key let their requests do: both apply, and a request cannot loosen either."""

import json
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q
from msgspec import Struct, structs

from accounts import visitors
from accounts.models import ApiKey, RoutingPolicy


class Policy(Struct, frozen=True):
    denies_collection: bool = False
    needs_zdr: bool = False
    only: tuple[frozenset[str], ...] = ()
    """Lists of providers, in lower case: an endpoint must be named by each."""
    ignore: frozenset[str] = frozenset()
    defaults: bytes = b""
    """JSON of a `provider` object, for what the request itself does not say."""


NO_POLICY = Policy()


def policy_of(key: ApiKey) -> Policy:
    """The key's over its organization's."""
    rows = RoutingPolicy.objects.filter(Q(organization_id=key.organization_id) | Q(api_key=key))
    # The organization's first: what the key prefers replaces it.
    policy = united(sorted(rows, key=lambda row: row.api_key_id is not None))
    if key.visitor is None:
        return policy
    return structs.replace(policy, only=(*policy.only, frozenset({visitors.PROVIDER})))


def united(rows: Iterable[RoutingPolicy]) -> Policy:
    """Allow-lists are intersected, deny-lists united, either's privacy holds; of defaults the last one's counts."""
    policy = NO_POLICY
    for row in rows:
        preferences = dict(row.preferences)
        if row.sort:
            preferences["sort"] = row.sort
        defaults = json.loads(policy.defaults or b"{}") | preferences
        policy = Policy(
            denies_collection=policy.denies_collection or row.denies_collection,
            needs_zdr=policy.needs_zdr or row.needs_zdr,
            only=(*policy.only, folded(row.allowed_providers)) if row.allowed_providers else policy.only,
            ignore=policy.ignore | folded(row.ignored_providers),
            defaults=json.dumps(defaults).encode() if defaults else b"",
        )
    return policy


def folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(str(name).casefold() for name in names)


def of_organization(organization_id: UUID) -> RoutingPolicy:
    """Its row, or a new one that is not saved yet."""
    return RoutingPolicy.objects.filter(organization_id=organization_id).first() or RoutingPolicy(
        organization_id=organization_id
    )


def of_key(key: ApiKey) -> RoutingPolicy:
    return RoutingPolicy.objects.filter(api_key=key).first() or RoutingPolicy(api_key=key)
