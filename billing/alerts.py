"""Mail when credit runs low, once until there is more, and when a limit or budget is nearly used, once each window."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from msgspec import Struct

from accounts import notices
from accounts.models import ApiKey, Membership, Organization, User
from accounts.notices import Notice
from billing import budgets
from billing.money import usd
from billing.payments.models import LEFT, NANO_PER_CENT, BillingProfile, BudgetNotice

LEVELS = (80, 100)
Budgeted = TypeVar("Budgeted", Membership, Organization)


class Limit(Struct, frozen=True):
    """What somebody may spend, and has; nano-USD."""

    budget: UUID
    name: str
    organization: Organization
    user: User | None
    used: int
    limit: int
    reset: str
    page: str


def run() -> None:
    low_balances()
    used_budgets()


def low_balances() -> None:
    threshold = F("low_balance_cents") * NANO_PER_CENT
    watched = BillingProfile.objects.exclude(low_balance_cents=None).annotate(left=LEFT)
    watched.filter(left__gte=threshold).exclude(low_balance_mailed_at=None).update(low_balance_mailed_at=None)
    low = watched.filter(left__lt=threshold, low_balance_mailed_at=None)
    for profile in low.select_related("organization"):
        _mail_low_balance(profile, vars(profile)["left"])


def _mail_low_balance(profile: BillingProfile, left: int) -> None:
    with transaction.atomic():
        unmailed = BillingProfile.objects.filter(pk=profile.pk, low_balance_mailed_at=None)
        if not unmailed.update(low_balance_mailed_at=timezone.now()):
            return
        context = {
            "organization": profile.organization,
            "left": usd(left),
            "threshold": usd((profile.low_balance_cents or 0) * NANO_PER_CENT),
            "url": f"{settings.PUBLIC_URL}/credits",
        }
        notices.tell(profile.organization_id, Notice.LOW_BALANCE, context)


def used_budgets() -> None:
    for limit in (*_of_keys(), *_of_members(), *_of_organizations()):
        for percent in reached(limit.used, limit.limit):
            _mail_budget(limit, percent)


def _of_keys() -> Iterator[Limit]:
    limited = ApiKey.objects.live().filter(limit_nano__gt=0).annotate(used=budgets.used_now())
    near = limited.filter(used__gte=F("limit_nano") * LEVELS[0] / 100)
    for key in near.select_related("created_by", "organization"):
        yield Limit(
            budget=key.pk,
            name=f"the key {key.name} ({key.label})",
            organization=key.organization,
            user=key.created_by,
            used=vars(key)["used"],
            limit=key.limit_nano or 0,
            reset=key.limit_reset,
            page=f"/keys/{key.hash}",
        )


def _of_members() -> Iterator[Limit]:
    members = Membership.objects.filter(budget_nano__gt=0).select_related("user", "organization")
    for member, used in _with_usage(members):
        yield Limit(
            budget=member.budget_id,
            name=f"the budget of {member.user}",
            organization=member.organization,
            user=member.user,
            used=used,
            limit=member.budget_nano or 0,
            reset=member.budget_reset,
            page="/dashboard",
        )


def _of_organizations() -> Iterator[Limit]:
    for organization, used in _with_usage(Organization.objects.filter(budget_nano__gt=0)):
        yield Limit(
            budget=organization.budget_id,
            name="the organization's budget",
            organization=organization,
            user=None,
            used=used,
            limit=organization.budget_nano or 0,
            reset=organization.budget_reset,
            page="/dashboard",
        )


def _with_usage(rows: Iterable[Budgeted]) -> Iterator[tuple[Budgeted, int]]:
    found = list(rows)
    usages = budgets.usages(row.budget_id for row in found)
    for row in found:
        yield row, usages.get(row.budget_id, budgets.UNUSED).within(row.budget_reset)


def reached(used: int, limit: int) -> Iterator[int]:
    """The highest level alone: who is at 100 % need not be told of 80."""
    found = [percent for percent in LEVELS if used * 100 >= limit * percent]
    yield from found[-1:]


def _mail_budget(limit: Limit, percent: int) -> None:
    with transaction.atomic():
        _, is_new = BudgetNotice.objects.get_or_create(
            budget_id=limit.budget,
            window_began=budgets.began(limit.reset, datetime.now(UTC).date()),
            percent=percent,
            limit_nano=limit.limit,
        )
        if not is_new:
            return
        context = {
            "name": limit.name,
            "organization": limit.organization,
            "percent": percent,
            "used": usd(limit.used),
            "limit": usd(limit.limit),
            "reset": limit.reset,
            "url": f"{settings.PUBLIC_URL}{limit.page}",
        }
        notices.tell(limit.organization.pk, Notice.BUDGET, context, concerned=limit.user)
