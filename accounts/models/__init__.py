"""Who: users, organizations, memberships and API keys, and what was done to them."""

from accounts.models.audit import AuditEvent
from accounts.models.keys import ApiKey, ApiKeyQuerySet, AuthorizationCode
from accounts.models.people import Every, Invitation, Membership, Organization, User, Window, in_a_week
from accounts.models.policy import RoutingPolicy

__all__ = [
    "ApiKey",
    "ApiKeyQuerySet",
    "AuditEvent",
    "AuthorizationCode",
    "Every",
    "Invitation",
    "Membership",
    "Organization",
    "RoutingPolicy",
    "User",
    "Window",
    "in_a_week",
]
