"""Background work that joins what gateways counted with what is kept of providers."""

from celery import shared_task

from gateway.routing.rollup import last_minutes
from providers import uptime as kept


@shared_task
def uptime() -> None:
    """Keeps the last minutes, and opens and closes incidents by them."""
    minutes = last_minutes()
    kept.record(minutes)
    kept.judge(minutes)
