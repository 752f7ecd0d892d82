"""What an organization used over a span of time, in steps, by model, key, member, provider or app.

From the roll-ups as far as they have come, from generations after that, as billing/spending.py. Apps are summed up by
hour alone, so grouping by them is for short spans.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection
from msgspec import Struct

from billing.generations import first_id
from billing.spending import LONGEST
from billing.usage import APP, final_since, has_apps_since


class Span(Struct, frozen=True):
    label: str
    length: timedelta
    step: timedelta
    source: str
    """The roll-up that its steps are made of; empty where they are shorter than those."""


SPANS = {
    "1h": Span("Hour", timedelta(hours=1), timedelta(minutes=2), ""),
    "1d": Span("Day", timedelta(days=1), timedelta(hours=1), "hour"),
    "1w": Span("Week", timedelta(days=7), timedelta(hours=6), "hour"),
    "1mo": Span("Month", timedelta(days=30), timedelta(days=1), "day"),
    "1y": Span("Year", timedelta(days=364), timedelta(days=7), "day"),
}
# Apps are in no sums by day.
APP_SPANS = frozenset({"1h", "1d", "1w"})


class Group(StrEnum):
    MODEL = "model"
    KEY = "key"
    MEMBER = "member"
    PROVIDER = "provider"
    APP = "app"


class Sums(Struct):
    """Amounts in nano-USD."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    charge: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: "Sums") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Activity(Struct):
    span: Span
    steps: list[datetime]
    """When each step begins."""
    groups: dict[str, list[Sums]]
    """By the group's name or id, a sum for each step."""

    def totals(self) -> dict[str, Sums]:
        found = {name: total(sums) for name, sums in self.groups.items()}
        return dict(sorted(found.items(), key=lambda item: (-item[1].charge, -item[1].requests, item[0])))


COLUMNS = {
    Group.MODEL: "model",
    Group.PROVIDER: "provider_name",
    Group.KEY: "api_key_id::text",
    Group.MEMBER: "(SELECT k.created_by_id::text FROM accounts_apikey k WHERE k.id = api_key_id)",
    Group.APP: "app",
}
SUMS = "sum(requests), sum(errors), sum(prompt_tokens), sum(completion_tokens), sum(charge)"
ROLLED_UP = """
SELECT {at} AS at, model, provider_name, api_key_id, '' AS app, requests, errors, prompt_tokens, completion_tokens,
    charge
FROM billing_usage{source}
WHERE organization_id = %(organization)s AND {source} >= %({source}s_from)s AND {source} < %({source}s_end)s
UNION ALL
"""
ROLLED_UP_APPS = """
SELECT hour AS at, '' AS model, '' AS provider_name, NULL::uuid AS api_key_id, app, requests, errors, prompt_tokens,
    completion_tokens, charge
FROM billing_usageapp WHERE organization_id = %(organization)s AND hour >= %(hours_from)s AND hour < %(hours_end)s
UNION ALL
"""
LIVE = f"""
SELECT closed_at AS at, coalesce(nullif(model, ''), requested_model) AS model, provider_name, api_key_id,
    {APP} AS app, 1 AS requests,
    (outcome IN ('error', 'expired'))::int AS errors, prompt_tokens, completion_tokens, charge
FROM billing_generation
WHERE organization_id = %(organization)s AND id >= %(first_id)s AND closed_at >= %(hours_end)s AND closed_at < %(until)s
"""


def activity(organization_id: UUID, span_name: str, group: Group) -> Activity:
    span = SPANS[span_name]
    steps = steps_of(span, datetime.now(UTC))
    found = Activity(span, steps, {})
    for at, name, *sums in _sums(organization_id, span, steps, group):
        row = found.groups.setdefault(name or "", [Sums() for _ in steps])
        row[at].add(Sums(*map(int, sums)))
    return found


def steps_of(span: Span, now: datetime) -> list[datetime]:
    """The last ones, the running one included; on full hours or days, as the roll-ups are."""
    epoch = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
    running = epoch + (now - epoch) // span.step * span.step
    count = span.length // span.step
    return [running - span.step * (count - 1 - number) for number in range(count)]


def total(sums: list[Sums]) -> Sums:
    found = Sums()
    for one in sums:
        found.add(one)
    return found


def _sums(organization_id: UUID, span: Span, steps: list[datetime], group: Group) -> list[tuple[Any, ...]]:
    since = steps[0]
    source = span.source
    if group == Group.APP and not has_apps_since(since):
        source = ""
    days_end, hours_end = final_since(since) if source else (since, since)
    if source == "hour":
        days_end = since
    by_day = ROLLED_UP.format(at="day::timestamp AT TIME ZONE 'UTC'", source="day") if days_end > since else ""
    by_hour = ROLLED_UP_APPS if group == Group.APP else ROLLED_UP.format(at="hour", source="hour")
    rolled_up = by_day + (by_hour if hours_end > days_end else "")
    query = f"""
        SELECT floor(extract(epoch FROM at - %(since)s) / %(step)s)::int, {COLUMNS[group]}, {SUMS}
        FROM ({rolled_up} {LIVE}) used GROUP BY 1, 2
    """
    parameters: dict[str, Any] = {
        "organization": organization_id,
        "since": since,
        "days_from": since,
        "days_end": days_end,
        "hours_from": days_end,
        "hours_end": hours_end,
        "until": steps[-1] + span.step,
        "first_id": first_id(hours_end - LONGEST),
        "step": span.step.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
