"""Celery's schedules, kept in the database and edited in the admin."""

from typing import Any

from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Entry(ModelEntry):  # type: ignore[misc]
    @classmethod
    def from_entry(cls, name: str, app: Any = None, **entry: Any) -> "Entry":
        """Settings only make what is missing: the original would write over what the admin has changed since."""
        row = PeriodicTask.objects.filter(name=name).first()
        if row is None:
            row = PeriodicTask.objects.create(name=name, **cls._unpack_fields(**entry))
        return cls(row, app=app)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    Entry = Entry
