"""The credit that a new user's organization starts with."""

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts import audit
from accounts.models import User
from billing import ledger
from billing.money import usd


def give_credit(request: HttpRequest, user: User) -> None:
    """Once for each user, however often and under however many addresses an e-mail is confirmed."""
    amount = settings.SIGNUP_CREDIT_NANO
    reference = f"signup:{user.pk}"
    if not amount or ledger.is_posted(reference):
        return
    organization = user.personal_organization
    try:
        with transaction.atomic():
            posted = ledger.grant(organization, amount=amount, reason="Sign-up credit", reference=reference)
            details = {"amount_usd": usd(amount), "reason": posted.reason, "user": user.email}
            audit.record(request, audit.Verb.GRANT, posted, organization_id=organization.pk, details=details)
    except IntegrityError:
        # Another request confirmed at the same moment; the reference is unique.
        return
