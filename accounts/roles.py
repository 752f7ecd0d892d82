"""Which role may do what in an organization: the one table that the guards ask and the members page shows."""

from django.db.models import TextChoices

from accounts.models import Membership

Role = Membership.Role


class Right(TextChoices):
    LOOK = "look", "See spend, requests, keys, members and credit"
    MAKE_KEYS = "make_keys", "Make inference keys and change one's own; use the playground"
    MANAGE_KEYS = "manage_keys", "Change every key; make management keys"
    PAY = "pay", "Buy credit; payment methods and invoices"
    SET_BUDGETS = "set_budgets", "Set what members may spend"
    MANAGE_MEMBERS = "manage_members", "Invite and remove members, change their roles"
    SET_UP = "set_up", "Change the organization's name, routing, privacy and notices"
    AUDIT = "audit", "Read the audit log"
    OWN = "own", "Make and remove owners, hand the organization over"


EVERYBODY = frozenset(Role)
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})
MATRIX: dict[Right, frozenset[Role]] = {
    Right.LOOK: EVERYBODY,
    Right.MAKE_KEYS: MANAGERS | {Role.DEVELOPER},
    Right.MANAGE_KEYS: MANAGERS,
    Right.PAY: MANAGERS | {Role.BILLING},
    Right.SET_BUDGETS: MANAGERS | {Role.BILLING},
    Right.MANAGE_MEMBERS: MANAGERS,
    Right.SET_UP: MANAGERS,
    Right.AUDIT: MANAGERS,
    Right.OWN: frozenset({Role.OWNER}),
}
