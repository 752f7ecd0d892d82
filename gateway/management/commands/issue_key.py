"""A new API key for somebody's personal organization, and credits with it."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts import audit, keys
from accounts.models import User
from billing import ledger
from billing.money import NANO_PER_USD, usd

MAX_USD = Decimal(10**9)


class Command(BaseCommand):
    help = "Prints a new API key for the user's personal organization. Makes the user if there is none."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--credits", metavar="USD", help="grant this much as well, each time it is run")
        parser.add_argument(
            "--management", action="store_true", help="a key that manages keys and cannot run inference"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"--email: {email!r} is not an e-mail address.") from None
        amount = nano(options["credits"])
        with transaction.atomic():
            user = User.objects.filter(email=email).first() or User.objects.create_user(email)
            organization = user.personal_organization
            key, token = keys.issue(
                organization, name="issue_key", created_by=user, is_management=options["management"]
            )
            audit.record(None, audit.Verb.CREATE, key, organization_id=organization.pk, details={"name": key.name})
            if amount:
                posted = ledger.grant(organization, amount=amount, reason="manage.py issue_key")
                details = {"amount_usd": usd(amount), "reason": posted.reason}
                audit.record(None, audit.Verb.GRANT, posted, organization_id=organization.pk, details=details)
        self.stdout.write(token)


def nano(text: str | None) -> int:
    if text is None:
        return 0
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise CommandError(f"--credits: {text!r} is not an amount of USD.") from None
    if not amount.is_finite() or not 0 < amount <= MAX_USD or amount * NANO_PER_USD % 1:
        raise CommandError("--credits: expected an amount above 0 with at most 9 decimals.")
    return int(amount * NANO_PER_USD)
