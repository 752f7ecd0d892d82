"""Mail when credit runs low, once until there is more, and when a key's limit is nearly used, once each window."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import ApiKey
from billing import budgets, mail
from billing.money import usd
from billing.payments.models import NANO_PER_CENT, BillingProfile, BudgetNotice

LEVELS = (80, 100)
ALL_TIME = date(1970, 1, 1)


def run() -> None:
    low_balances()
    used_budgets()


def low_balances() -> None:
    left = F("organization__wallet__credit") - F("organization__wallet__spent")
    threshold = F("low_balance_cents") * NANO_PER_CENT
    watched = BillingProfile.objects.exclude(low_balance_cents=None).annotate(left=left)
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
        mail.to_payers(profile.organization_id, "low_balance", context)


def used_budgets() -> None:
    limited = ApiKey.objects.live().filter(limit_nano__gt=0).annotate(used=budgets.used_now())
    near = limited.filter(used__gte=F("limit_nano") * LEVELS[0] / 100)
    for key in near.select_related("created_by", "organization"):
        used: int = vars(key)["used"]
        for percent in reached(used, key.limit_nano or 0):
            _mail_budget(key, used, percent)


def reached(used: int, limit: int) -> Iterator[int]:
    """The highest level alone: who is at 100 % need not be told of 80."""
    found = [percent for percent in LEVELS if used * 100 >= limit * percent]
    yield from found[-1:]


def began(reset: str, today: date) -> date:
    match reset:
        case "daily":
            return today
        case "weekly":
            return today - timedelta(days=today.weekday())
        case "monthly":
            return today.replace(day=1)
        case _:
            return ALL_TIME


def _mail_budget(key: ApiKey, used: int, percent: int) -> None:
    with transaction.atomic():
        _, is_new = BudgetNotice.objects.get_or_create(
            budget_id=key.pk,
            window_began=began(key.limit_reset, datetime.now(UTC).date()),
            percent=percent,
            limit_nano=key.limit_nano or 0,
        )
        if not is_new:
            return
        context = {
            "key": key,
            "percent": percent,
            "used": usd(used),
            "limit": usd(key.limit_nano or 0),
            "url": f"{settings.PUBLIC_URL}/keys/{key.hash}",
        }
        mail.to_managers_and(key.created_by, key.organization_id, "budget", context)
