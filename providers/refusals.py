"""A credential that its provider refuses is switched off, and whoever runs this is told."""

import logging
import os
from collections.abc import Mapping

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import send_mail
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from providers import loading, models
from providers.snapshot import Provider

logger = logging.getLogger(__name__)

MESSAGE = """{name} refuses the API key that Turnpike sends. It is switched off: no request goes to {name}.

Put in another key, or switch this one on again:
{url}
"""


def switch_off(provider: Provider) -> bool:
    """False if it is off already, or has been changed since."""
    rows = models.Provider.objects.filter(slug=provider.slug).exclude(refused_mark=provider.secret_mark)
    if not provider.secret_mark or not rows.update(refused_mark=provider.secret_mark, refused_at=timezone.now()):
        return False
    logger.error("%s refuses its API key: it is switched off", provider.name)
    tell(models.Provider.objects.get(slug=provider.slug))
    return True


def switch_on(rows: QuerySet[models.Provider]) -> int:
    """How many were off."""
    return rows.exclude(refused_mark="").update(refused_mark="", refused_at=None)


def forgive(rows: QuerySet[models.Provider], environment: Mapping[str, str] = os.environ) -> int:
    """Those that have another key by now are asked again already: nothing is to tell of the old one. How many were."""
    other = []
    for row in rows.exclude(refused_mark="").select_related("credential"):
        mark = loading.provider(row, environment).secret_mark
        if mark and mark != row.refused_mark:
            other.append(row.pk)
    return switch_on(models.Provider.objects.filter(pk__in=other)) if other else 0


def tell(row: models.Provider) -> None:
    """By mail to the operators that settings name, or else to all superusers."""
    people = get_user_model().objects.filter(is_superuser=True, is_active=True)
    addresses = settings.OPERATORS or [person.email for person in people]
    if not addresses:
        return
    url = settings.PUBLIC_URL + reverse("admin:providers_provider_change", args=[row.pk])
    text = MESSAGE.format(name=row.name, url=url)
    try:
        send_mail(f"{row.name} refuses its API key", text, settings.DEFAULT_FROM_EMAIL, addresses)
    except OSError as error:
        logger.error("the operator could not be told by mail: %s", error)
