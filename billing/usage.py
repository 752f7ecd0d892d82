"""Usage by hour and by day: by organization, key, model, provider and endpoint; by hour also by application.

A generation counts in the hour in which it closed, as its charge counts in a budget. By the time in its id rows would
come late without bound: a stream may last for minutes, and a hold expires whenever the till is back. By `closed_at` a
row is late only for as long as its transaction takes, and the till's are cut after 4 seconds (SESSION in lane.py).

So each run makes the hours anew, whole, from LATE before the end of the last run: what it finds is what counts, however
often it runs, and a run that did not happen or died is made good by the next. A period's rows are replaced in one
transaction, so readers never see half of it.
"""

from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Sum

from billing.models import Generation, UsageMark, UsageTotal

LATE = timedelta(minutes=10)
# Where nobody has summed up anything yet.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
# A release that knew no applications has summed up the hours before: pages show a week by them.
APPS_BACK = timedelta(days=8)
# In one transaction: after a long pause much has to be made good, and what is done shall stay done.
CHUNK = timedelta(days=1)

SUMS = (
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "charge",
    "list_charge",
    "cost",
    "write_off",
)
COLUMNS = "organization_id, api_key_id, model, provider, endpoint_id, provider_name, requests, errors, " + ", ".join(
    SUMS
)

HOURS = f"""
INSERT INTO billing_usagehour (hour, {COLUMNS})
SELECT date_trunc('hour', closed_at, 'UTC'), organization_id, api_key_id,
    coalesce(nullif(model, ''), requested_model), provider, endpoint_id, max(provider_name),
    count(*), count(*) FILTER (WHERE outcome IN ('error', 'expired')), {", ".join(f"sum({name})" for name in SUMS)}
FROM billing_generation WHERE closed_at >= %(since)s AND closed_at < %(until)s
GROUP BY 1, 2, 3, 4, 5, 6
"""
# What a request says of its application.
APP = "coalesce(nullif(app_title, ''), http_referer, '')"
APPS = f"""
INSERT INTO billing_usageapp (hour, organization_id, app, requests, errors, prompt_tokens, completion_tokens, charge)
SELECT date_trunc('hour', closed_at, 'UTC'), organization_id, {APP}, count(*),
    count(*) FILTER (WHERE outcome IN ('error', 'expired')), sum(prompt_tokens), sum(completion_tokens), sum(charge)
FROM billing_generation WHERE closed_at >= %(since)s AND closed_at < %(until)s
GROUP BY 1, 2, 3
"""
DAYS = f"""
INSERT INTO billing_usageday (day, {COLUMNS})
SELECT (hour AT TIME ZONE 'UTC')::date, organization_id, api_key_id, model, provider, endpoint_id, max(provider_name),
    sum(requests), sum(errors), {", ".join(f"sum({name})" for name in SUMS)}
FROM billing_usagehour WHERE hour >= %(since)s AND hour < %(until)s
GROUP BY 1, 2, 3, 4, 5, 6
"""
# Beside the sums, so that a request need not write to its key's row.
LAST_USES = """
UPDATE accounts_apikey k SET last_used_at = used.at
FROM (
    SELECT api_key_id, max(created_at) AS at FROM billing_generation
    WHERE closed_at >= %(since)s AND closed_at < %(until)s AND api_key_id IS NOT NULL GROUP BY 1
) used
WHERE k.id = used.api_key_id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)
"""


def roll_up() -> None:
    while not _roll_up_chunk():
        pass


def tokens_by_model(*, days: int) -> dict[str, int]:
    """Of all organizations together, over so many days and today."""
    rows = UsageTotal.objects.filter(by=UsageTotal.By.MODEL, day__gte=_now().date() - timedelta(days=days))
    return dict(rows.values_list("name").annotate(tokens=Sum(F("prompt_tokens") + F("completion_tokens"))))


def tokens_by_day(model: str, *, days: int) -> dict[date, int]:
    """Of all organizations together, today included; days without any are not in it."""
    since = _now().date() - timedelta(days=days - 1)
    rows = UsageTotal.objects.filter(by=UsageTotal.By.MODEL, day__gte=since, name=model).values_list("day").order_by()
    return dict(rows.annotate(tokens=Sum(F("prompt_tokens") + F("completion_tokens"))))


def final_since(start: datetime) -> tuple[datetime, datetime]:
    """From `start` on, the ends of the days, and of the hours after them, that no roll-up will change any more."""
    mark = UsageMark.objects.first()
    if mark is None:
        return start, start
    settled = mark.rolled_up_until - LATE
    days = max(start, _day(settled))
    return days, max(days, _hour(settled))


def has_apps_since(moment: datetime) -> bool:
    """Whether the roll-ups of the hours from then on are by application too."""
    return UsageMark.objects.filter(apps_since__lte=moment).exists()


def _roll_up_chunk() -> bool:
    """Says whether it has come to the present."""
    with transaction.atomic():
        mark = _locked_mark()
        now = _now()
        if mark.apps_since is None:
            mark.rolled_up_until = min(mark.rolled_up_until, now - APPS_BACK)
        since = _hour(min(mark.rolled_up_until, now) - LATE)
        mark.apps_since = mark.apps_since or since
        until = since + CHUNK
        _replace(since, until)
        mark.rolled_up_until = min(until, now)
        mark.save()
    return until > now


def _locked_mark() -> UsageMark:
    """Two runs at the same time take turns."""
    if not UsageMark.objects.exists():
        oldest = Generation.objects.order_by("closed_at").values_list("closed_at", flat=True).first()
        mark = UsageMark(pk=1, rolled_up_until=oldest or _now(), apps_since=BEGINNING)
        UsageMark.objects.bulk_create([mark], ignore_conflicts=True)
    return UsageMark.objects.select_for_update().get(pk=1)


def _now() -> datetime:
    """By PostgreSQL's clock, which writes closed_at."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _replace(since: datetime, until: datetime) -> None:
    """`since` and `until` are full hours; the days that they touch are summed up anew from their hours."""
    days = {"since": _day(since), "until": _day(until + timedelta(days=1) - timedelta(microseconds=1))}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_usagehour WHERE hour >= %s AND hour < %s", [since, until])
        cursor.execute(HOURS, {"since": since, "until": until})
        cursor.execute("DELETE FROM billing_usageapp WHERE hour >= %s AND hour < %s", [since, until])
        cursor.execute(APPS, {"since": since, "until": until})
        cursor.execute(
            "DELETE FROM billing_usageday WHERE day >= %s AND day < %s", [days["since"].date(), days["until"].date()]
        )
        cursor.execute(DAYS, days)
        cursor.execute(LAST_USES, {"since": since, "until": until})


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return _hour(moment).replace(hour=0)
