"""Background work on accounts."""

from importlib import import_module

from celery import shared_task
from django.conf import settings


@shared_task
def sessions() -> None:
    """Deletes log-ins that have expired."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
