"""`manage.py import_catalogue FILE`: docs/catalogue.md."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from providers.catalogue.format import BadCatalogue
from providers.importer import import_catalogue


class Command(BaseCommand):
    help = "Adds and updates providers, models, endpoints and prices from a YAML file; a bad file changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        try:
            counts = import_catalogue(Path(file).read_text(encoding="utf-8"), source=Path(file).name[:200])
        except (OSError, UnicodeDecodeError) as error:
            self._refuse([f"{file}:1: file: {error}"])
        except BadCatalogue as bad:
            self._refuse([f"{file}:{problem.line}: {problem.path}: {problem.reason}" for problem in bad.problems])
        else:
            summary = ", ".join(f"{count} {kind} rows" for kind, count in sorted(counts.items()))
            self.stdout.write(f"{file}: {summary or 'nothing'} changed")

    def _refuse(self, lines: list[str]) -> None:
        # Not CommandError: its prefix would break the FILE:LINE form that editors jump to.
        for line in lines:
            self.stderr.write(line)
        sys.exit(2)
