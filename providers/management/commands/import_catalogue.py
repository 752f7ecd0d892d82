"""`manage.py import_catalogue [--review] FILE`: docs/catalogue.md."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.urls import reverse

from providers.catalogue.format import BadCatalogue
from providers.importer import import_catalogue
from providers.refreshes import propose


class Command(BaseCommand):
    help = "Adds and updates providers, models, endpoints and prices from a YAML file; a bad file changes nothing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")
        parser.add_argument(
            "--review", action="store_true", help="change nothing yet: an operator decides in the admin"
        )

    def handle(self, *args: Any, file: str, review: bool, **options: Any) -> None:
        try:
            text, source = Path(file).read_text(encoding="utf-8"), Path(file).name[:200]
            said = proposed(text, source) if review else imported(text, source)
        except (OSError, UnicodeDecodeError) as error:
            self._refuse([f"{file}:1: file: {error}"])
        except BadCatalogue as bad:
            self._refuse([f"{file}:{problem.line}: {problem.path}: {problem.reason}" for problem in bad.problems])
        else:
            self.stdout.write(f"{file}: {said}")

    def _refuse(self, lines: list[str]) -> None:
        # Not CommandError: its prefix would break the FILE:LINE form that editors jump to.
        for line in lines:
            self.stderr.write(line)
        sys.exit(2)


def imported(text: str, source: str) -> str:
    counts = import_catalogue(text, source=source)
    return f"{', '.join(f'{count} {kind} rows' for kind, count in sorted(counts.items())) or 'nothing'} changed"


def proposed(text: str, source: str) -> str:
    refresh = propose(text, source=source)
    if refresh is None:
        return "nothing would change"
    url = settings.PUBLIC_URL + reverse("admin:providers_refresh_change", args=[refresh.pk])
    return f"{sum(refresh.summary.values())} changes wait for review: {url}"
