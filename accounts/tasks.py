"""Background work on accounts."""

from importlib import import_module
from smtplib import SMTPException

from celery import shared_task
from django.conf import settings
from django.core.mail import get_connection, send_mail

from accounts import codes, visitors


@shared_task
def sessions() -> None:
    """Deletes log-ins, authorization codes and visitors' keys that have expired."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    codes.prune()
    visitors.prune()


@shared_task(autoretry_for=(SMTPException, OSError), retry_backoff=5, retry_backoff_max=300, max_retries=8)
def mail(subject: str, body: str, sender: str, recipients: list[str]) -> None:
    """Tried for about half an hour. A worker that dies after sending sends it once more."""
    deliver(subject, body, sender, recipients)


def deliver(subject: str, body: str, sender: str, recipients: list[str]) -> None:
    send_mail(subject, body, sender, recipients, connection=get_connection(settings.MAIL_BACKEND))
