"""Who is mailed about what in an organization: by role, unless a member has chosen otherwise for themselves."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import TextChoices
from django.template.loader import render_to_string

from accounts.models import ApiKey, AuditEvent, Membership, User
from accounts.roles import MANAGERS, MATRIX, Right, Role

Verb = AuditEvent.Verb


class Notice(TextChoices):
    """Its values are also the names of the mails' templates; both about budgets have one."""

    LOW_BALANCE = "low_balance", "Credit runs low"
    AUTOMATIC_FAILED = "automatic_failed", "An automatic top-up failed"
    OWN_BUDGET = "own_budget", "What one may spend oneself is used to 80 or 100 %"
    BUDGET = "budget", "Anybody's limit or budget is used to 80 or 100 %"
    SECURITY = "security", "Members, roles or management keys changed"


# Who is told unless they say otherwise.
TOLD: dict[Notice, frozenset[Role]] = {
    Notice.LOW_BALANCE: MATRIX[Right.PAY],
    Notice.AUTOMATIC_FAILED: MATRIX[Right.PAY],
    Notice.OWN_BUDGET: MATRIX[Right.LOOK],
    Notice.BUDGET: MANAGERS,
    Notice.SECURITY: MATRIX[Right.AUDIT],
}
# Who may be told at all: what others may look at on a page, they may have by mail.
MAY_BE_TOLD: dict[Notice, frozenset[Role]] = {
    **dict.fromkeys(Notice, MATRIX[Right.LOOK]),
    Notice.SECURITY: MATRIX[Right.AUDIT],
}
WHAT = {
    Verb.UPDATE: "A role changed",
    Verb.JOIN: "Somebody joined",
    Verb.LEAVE: "Somebody left",
    Verb.REMOVE: "A member was removed",
    Verb.TRANSFER: "The organization was handed over",
}
# Mail about money may go to one more address, a book-keeper's say.
ABOUT_MONEY = frozenset({Notice.LOW_BALANCE, Notice.AUTOMATIC_FAILED, Notice.BUDGET})


def may_be_told(member: Membership, notice: Notice) -> bool:
    return member.role in MAY_BE_TOLD[notice]


def is_told(member: Membership, notice: Notice) -> bool:
    chosen = member.notices.get(notice)
    wants = member.role in TOLD[notice] if chosen is None else bool(chosen)
    return wants and may_be_told(member, notice)


def choose(member: Membership, wanted: set[Notice]) -> dict[str, list[bool]]:
    """Keeps what differs from the role's way, so that a new role brings its own. Returns what was and what is."""
    changed = {}
    chosen = dict(member.notices)
    for notice in (notice for notice in Notice if may_be_told(member, notice)):
        before, after = is_told(member, notice), notice in wanted
        if before == after:
            continue
        changed[notice.label] = [before, after]
        chosen[notice] = after
        if after == (member.role in TOLD[notice]):
            del chosen[notice]
    member.notices = chosen
    member.save(update_fields=["notices"])
    return changed


def tell(organization_id: UUID, notice: Notice, context: Mapping[str, Any], *, concerned: User | None = None) -> None:
    """Mail, which leaves when the transaction stands that this is called in (accounts/mail.py)."""
    send(recipients(organization_id, notice, concerned=concerned), f"mail/{notice}.txt", context)


def recipients(organization_id: UUID, notice: Notice, *, concerned: User | None = None) -> list[str]:
    """Addresses, each once. `concerned` is whose key or budget it is."""
    members = Membership.objects.filter(organization=organization_id, user__is_active=True)
    found = set()
    for member in members.select_related("user", "organization"):
        is_own = concerned is not None and member.user_id == concerned.pk
        if is_told(member, notice) or (is_own and is_told(member, Notice.OWN_BUDGET)):
            found.add(member.user.email)
        if notice in ABOUT_MONEY and member.organization.notices_email:
            found.add(member.organization.notices_email)
    return sorted(found)


def send(addresses: Iterable[str], template: str, context: Mapping[str, Any]) -> None:
    """The template's first line is the subject. A message each: members need not learn each other's addresses."""
    choose_at = f"{settings.PUBLIC_URL}/settings/notifications"
    subject, _, body = render_to_string(template, {**context, "choose_at": choose_at}).partition("\n")
    # Names in it may hold what would end a header's line.
    subject = " ".join(subject.split())
    for address in addresses:
        EmailMessage(subject, body.strip() + "\n", to=[address]).send()


# Security


def tell_of(event: AuditEvent, target: object) -> None:
    """To those who watch over the organization, who did it included: it may have been somebody with their session."""
    organization = event.organization
    if organization is None or not is_of_security(event, target):
        return
    context = {
        "event": event,
        "organization": organization,
        "what": what(event, target),
        "facts": [(name, written(value)) for name, value in event.details.items()],
        "url": f"{settings.PUBLIC_URL}/settings/audit",
    }
    tell(organization.pk, Notice.SECURITY, context)


def is_of_security(event: AuditEvent, target: object) -> bool:
    """What changes who may do what in an organization."""
    if isinstance(target, ApiKey):
        return target.is_management and event.verb == Verb.CREATE
    if isinstance(target, Membership) and event.verb in (Verb.CREATE, Verb.DELETE):
        return True
    is_role = event.verb == Verb.UPDATE and "role" in event.details
    return is_role or event.verb in (Verb.JOIN, Verb.LEAVE, Verb.REMOVE, Verb.TRANSFER)


def what(event: AuditEvent, target: object) -> str:
    if isinstance(target, ApiKey):
        return "A management key was made"
    return WHAT.get(Verb(event.verb), "Members changed")


def written(value: Any) -> str:
    return " → ".join(map(str, value)) if isinstance(value, list) else str(value)
