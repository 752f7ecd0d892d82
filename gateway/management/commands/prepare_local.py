"""`manage.py prepare_local`: what `bin/run` does to the database before anything serves.

One command for all of it, because each start of Django takes a second.
Progress goes to stderr, JSON for the banner to stdout.
"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from gateway.local.preparation import prepare

# Several machines may start on one database at the same moment.
ADVISORY_LOCK = 0x7475726E


class Command(BaseCommand):
    help = "Migrates, imports the shipped catalogue into an empty database and, with --demo, makes a login and a key."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--refresh", action="store_true", help="import the catalogue again")
        parser.add_argument("--demo", action="store_true")

    def handle(self, *args: Any, refresh: bool, demo: bool, **options: Any) -> None:
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise CommandError(f"cannot use the database of DATABASE_URL: {' '.join(str(error).split())}") from error
        with one_at_a_time():
            prepared = prepare(refresh=refresh, wants_demo=demo, progress=self.stderr)
        self.stdout.write(json.dumps(asdict(prepared)))


@contextmanager
def one_at_a_time() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        yield
        cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])
