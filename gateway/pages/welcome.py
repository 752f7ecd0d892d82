"""The credit that a new user's organization starts with."""

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from billing import ledger
from billing.models import LedgerTransaction


def give_credit(user: User) -> None:
    """Once for each user, however often and under however many addresses an e-mail is confirmed."""
    reference = f"signup:{user.pk}"
    if not settings.SIGNUP_CREDIT_NANO or LedgerTransaction.objects.filter(reference=reference).exists():
        return
    try:
        with transaction.atomic():
            ledger.grant(
                user.personal_organization,
                amount=settings.SIGNUP_CREDIT_NANO,
                reason="Sign-up credit",
                reference=reference,
            )
    except IntegrityError:
        # Another request confirmed at the same moment; the reference is unique.
        return
