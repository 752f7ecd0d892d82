"""Promotional codes: once for each organization, as often as the code allows, in one transaction with the credit."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Organization, User
from billing import ledger
from billing.payments.models import PromoCode, Redemption


class NotRedeemable(Exception):
    """The text says why, to who tried."""


def redeem(organization: Organization, user: User, typed: str) -> int:
    """Returns the credit given, in nano-USD."""
    code = typed.strip().upper()
    now = timezone.now()
    try:
        with transaction.atomic():
            # The row's lock makes the uses of one code take turns.
            usable = PromoCode.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), code=code, is_disabled=False)
            if not usable.filter(uses__lt=F("max_uses")).update(uses=F("uses") + 1):
                raise NotRedeemable("This code does not exist, has expired or has been used up.")
            found = PromoCode.objects.get(code=code)
            days = found.credit_days
            posted = ledger.promotion(
                organization,
                amount=found.amount_nano,
                expires_at=None if days is None else now + timedelta(days=days),
                reason=f"Code {found.code}",
                created_by=user,
                reference=f"promo:{found.pk}:{organization.pk}",
            )
            Redemption.objects.create(promo_code=found, organization=organization, redeemed_by=user, posted=posted)
    except IntegrityError:
        raise NotRedeemable("Your organization has redeemed this code already.") from None
    return found.amount_nano
