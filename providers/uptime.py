"""Uptime as it is kept: minutes for some hours, hours for some days, days for more than a year; and incidents."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from msgspec import Struct

from providers import refusals
from providers.errors import FAULTS
from providers.models import Endpoint, Incident, Probe, Provider, Uptime
from providers.statistics import Tally, summed

Span = Uptime.Span
KEPT = {Span.MINUTE: timedelta(hours=3), Span.HOUR: timedelta(days=8), Span.DAY: timedelta(days=400)}
# An endpoint is down when so many of its requests failed in the last minutes, and more than a fifth of them.
DOWN_AT = 3
DOWN_BELOW = 0.8
UP_FROM = 0.95
LOOKED_AT = timedelta(minutes=2)
# Without a request an endpoint is well when it has had no fault for so long.
QUIET_FOR = timedelta(minutes=10)
# A provider is down when it was not up at so many probes in a row.
PROBES = 2
PROBED_WITHIN = timedelta(minutes=10)
COLUMNS = ["successes", "faults", "latency_count", "latency_ms_sum", "throughput_count", "throughput_sum"]
# Sums of what is finer; what is there already is replaced, so a run may be repeated.
SUM = """
INSERT INTO providers_uptime (endpoint_id, span, begins_at, {columns})
SELECT endpoint_id, %(span)s, date_trunc(%(span)s, begins_at, 'UTC'), {sums}
FROM providers_uptime WHERE span = %(finer)s AND begins_at >= date_trunc(%(span)s, %(since)s::timestamptz, 'UTC')
GROUP BY 1, 3
ON CONFLICT (endpoint_id, span, begins_at) DO UPDATE SET {replaced}
""".format(
    columns=", ".join(COLUMNS),
    sums=", ".join(f"sum({name})" for name in COLUMNS),
    replaced=", ".join(f"{name} = excluded.{name}" for name in COLUMNS),
)

Tallies = Mapping[UUID, Tally]
"""By endpoint."""
Minutes = Mapping[datetime, Tallies]
Probes = Mapping[int, list[Probe]]
"""By provider, the newest first."""


class Down(Struct, frozen=True):
    provider: int
    endpoint: UUID | None


def record(minutes: Minutes) -> None:
    """Keeps what was counted in these minutes, all of each, and sums it up. May be repeated."""
    if not minutes:
        return
    rows = [row for minute, tallies in minutes.items() for row in of_minute(minute, tallies)]
    with transaction.atomic():
        Uptime.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["endpoint", "span", "begins_at"],
            update_fields=COLUMNS,
        )
        with connection.cursor() as cursor:
            for span, finer in ((Span.HOUR, Span.MINUTE), (Span.DAY, Span.HOUR)):
                cursor.execute(SUM, {"span": span.value, "finer": finer.value, "since": min(minutes)})


def of_minute(minute: datetime, tallies: Tallies) -> list[Uptime]:
    probes = dict(Probe.objects.filter(minute=minute).values_list("provider_id", "is_up"))
    rows = []
    enabled = Endpoint.objects.filter(is_enabled=True, provider__is_enabled=True)
    for endpoint, provider in enabled.values_list("pk", "provider_id"):
        tally = tallies.get(endpoint)
        if tally is not None and tally.successes + tally.faults:
            counts = counts_of(tally)
        elif provider in probes:
            counts = {"successes": int(probes[provider]), "faults": int(not probes[provider])}
        else:
            continue
        rows.append(Uptime(endpoint_id=endpoint, span=Span.MINUTE, begins_at=minute, **counts))
    return rows


def counts_of(tally: Tally) -> dict[str, int]:
    return dict(
        zip(COLUMNS, (tally.successes, tally.faults, *summed(tally.latency), *summed(tally.throughput)), strict=True)
    )


def prune() -> None:
    for span, kept in KEPT.items():
        Uptime.objects.filter(span=span, begins_at__lt=timezone.now() - kept).delete()


def judge(minutes: Minutes) -> None:
    """Opens and closes incidents by what was seen in the last minutes."""
    # A variable may hold another key since.
    refusals.forgive(Provider.objects.all())
    probes, tallies = last_probes(), recent(minutes)
    down = {**providers_down(probes), **endpoints_down(tallies)}
    with transaction.atomic():
        Incident.objects.bulk_create(
            [
                Incident(provider_id=found.provider, endpoint_id=found.endpoint, cause=cause)
                for found, cause in down.items()
            ],
            # It is open already.
            ignore_conflicts=True,
        )
        for incident in Incident.objects.select_for_update().open():
            found = Down(incident.provider_id, incident.endpoint_id)
            if found not in down and is_well(found, probes, tallies):
                incident.closed_at = timezone.now()
                incident.save()


def last_probes() -> Probes:
    found: dict[int, list[Probe]] = {}
    for probe in Probe.objects.within(PROBED_WITHIN).order_by("-minute"):
        found.setdefault(probe.provider_id, []).append(probe)
    return found


def recent(minutes: Minutes) -> Tallies:
    found: dict[UUID, Tally] = {}
    newest = max(minutes, default=None)
    for minute, tallies in minutes.items():
        if newest is not None and minute > newest - LOOKED_AT:
            for endpoint, tally in tallies.items():
                found.setdefault(endpoint, Tally()).add(tally)
    return found


def providers_down(probes: Probes) -> dict[Down, str]:
    """Those that the last probes found down, and those that refuse their key."""
    found: dict[Down, str] = {}
    for row in Provider.objects.filter(is_enabled=True):
        last = probes.get(row.pk, [])[:PROBES]
        if row.refused_at is not None:
            found[Down(row.pk, None)] = "out of service: its API key is refused"
        elif len(last) == PROBES and not any(probe.is_up for probe in last):
            status, error = last[0].status, last[0].error
            found[Down(row.pk, None)] = f"not reachable: {f'status {status}' if status else error}"
    return found


def endpoints_down(tallies: Tallies) -> dict[Down, str]:
    found: dict[Down, str] = {}
    owners = dict(Endpoint.objects.filter(is_enabled=True).values_list("pk", "provider_id"))
    for endpoint, tally in tallies.items():
        total = tally.successes + tally.faults
        if endpoint in owners and tally.faults >= DOWN_AT and tally.successes < DOWN_BELOW * total:
            label = max(FAULTS & tally.errors.keys(), key=lambda one: (tally.errors[one], one)).replace("_", " ")
            found[Down(owners[endpoint], endpoint)] = f"{tally.faults} of {total} requests failed: {label}"
    return found


def is_well(found: Down, probes: Probes, tallies: Tallies) -> bool:
    if found.endpoint is None:
        last = probes.get(found.provider)
        # Nobody asks it any more, or it is up.
        return not last or last[0].is_up
    tally = tallies.get(found.endpoint)
    if tally is None or not tally.successes + tally.faults:
        faults = Uptime.objects.filter(endpoint_id=found.endpoint, span=Span.MINUTE, faults__gt=0)
        return not faults.filter(begins_at__gt=timezone.now() - QUIET_FOR).exists()
    return tally.successes >= UP_FROM * (tally.successes + tally.faults)
