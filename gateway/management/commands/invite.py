"""An invitation to sign up, where SIGNUP=invite."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from gateway.pages import invitations


class Command(BaseCommand):
    help = "Prints a link by which this e-mail address may sign up; good for a week."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--email", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            validate_email(options["email"].strip())
        except ValidationError:
            raise CommandError(f"--email: {options['email']!r} is not an e-mail address.") from None
        self.stdout.write(invitations.link(options["email"]))
