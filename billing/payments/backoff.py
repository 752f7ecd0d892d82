"""After a failed automatic top-up: wait longer each time, give up in the end, and say so to those who pay."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import notices
from accounts.notices import Notice
from billing.payments import amounts
from billing.payments.models import BillingProfile, TopUp

# After the first, second, … failure in a row; after one more it is switched off.
WAITS = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1))


def count_failure(top_up: TopUp, error: str) -> None:
    with transaction.atomic():
        profile = BillingProfile.objects.select_for_update().get(pk=top_up.organization_id)
        profile.failures += 1
        is_last = profile.failures > len(WAITS)
        profile.is_automatic = profile.is_automatic and not is_last
        profile.retry_at = None if is_last else timezone.now() + WAITS[profile.failures - 1]
        profile.save(update_fields=["failures", "is_automatic", "retry_at"])
        context = {
            "total": amounts.usd(top_up.total_cents),
            "card": profile.card,
            "error": error,
            "is_last": is_last,
            "retry_at": profile.retry_at,
            "url": f"{settings.PUBLIC_URL}/credits",
        }
        notices.tell(profile.organization_id, Notice.AUTOMATIC_FAILED, context)


def forget_failures(top_up: TopUp) -> None:
    BillingProfile.objects.filter(pk=top_up.organization_id).update(failures=0, retry_at=None)
