"""Django's mail backend here: messages go to a Celery task, so that no page waits for a mail server."""

import logging
from collections.abc import Sequence
from functools import partial

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from kombu.exceptions import OperationalError

from accounts import tasks

logger = logging.getLogger(__name__)


class QueuedBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Queued once the transaction stands: no mail tells of what was rolled back."""
        for message in email_messages:
            parts = (str(message.subject), str(message.body), message.from_email, list(message.to))
            transaction.on_commit(partial(queue, *parts))
        return len(email_messages)


def queue(subject: str, body: str, sender: str, recipients: list[str]) -> None:
    try:
        tasks.mail.delay(subject, body, sender, recipients)
    except OperationalError:
        logger.warning("the broker is away: a mail is sent from here")
        tasks.deliver(subject, body, sender, recipients)
