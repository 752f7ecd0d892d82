"""One at a time among all processes: an advisory lock, which PostgreSQL takes back from who dies."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

POLL_S = 0.2


@contextmanager
def alone(lock_class: int, key: int = 0, *, patience_s: float = 0) -> Iterator[bool]:
    """Whether nobody else has the lock, or gave it back in that time. Until the end of the block it is ours then."""
    deadline = time.monotonic() + patience_s
    with connection.cursor() as cursor:

        def ask(function: str) -> bool:
            cursor.execute(f"SELECT {function}(%s, %s)", [lock_class, key])
            (is_done,) = cursor.fetchone() or (False,)
            return bool(is_done)

        while not (is_alone := ask("pg_try_advisory_lock")) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        try:
            yield is_alone
        finally:
            if is_alone:
                ask("pg_advisory_unlock")
