"""Prices that come into force by the clock: no row changes at that moment, so somebody must say so."""

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from providers.models import Price, PriceMark

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# Each process reads prices by its own clock: one that is a little behind must find it begun, too.
SKEW = timedelta(seconds=1)


def announce() -> bool:
    """Makes gateway processes read the catalogue again if a price has begun since the last time."""
    with transaction.atomic():
        PriceMark.objects.bulk_create([PriceMark(pk=1, announced_until=NEVER)], ignore_conflicts=True)
        mark = PriceMark.objects.select_for_update().get(pk=1)
        now = timezone.now() - SKEW
        has_begun = Price.objects.filter(effective_from__gt=mark.announced_until, effective_from__lte=now).exists()
        if has_begun:
            with connection.cursor() as cursor:
                # Sent at commit, together with the mark.
                cursor.execute("SELECT pg_notify('turnpike_catalogue', '')")
        mark.announced_until = now
        mark.save()
    return has_begun
