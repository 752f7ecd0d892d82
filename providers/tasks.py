"""Background work on the catalogue. Each task may run twice or die in between."""

from celery import shared_task

from providers import health, uptime
from providers import prices as validity


@shared_task
def probe() -> None:
    """Asks every provider whether it is up."""
    health.probe_all()


@shared_task
def prices() -> None:
    """Tells of prices that have come into force."""
    validity.announce()


@shared_task
def prune() -> None:
    health.prune()
    uptime.prune()
