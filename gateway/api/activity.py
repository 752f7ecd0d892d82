"""GET /activity: what an organization used in the last 30 completed days (UTC), by day, model and endpoint (§1.9)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Max, QuerySet, Sum
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import ApiKey
from billing.models import UsageDay
from gateway.api.account import usd
from gateway.api.authentication import management
from gateway.api.keys import check_workspace
from gateway.api.models import snapshot
from gateway.api.openapi import describe, text
from gateway.api.shapes.account import Activity
from gateway.errors import ApiError
from providers.snapshot import Model

DAYS = 30
SUMS = ("requests", "charge", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")


@describe(
    "Account",
    "What was used, by day and endpoint",
    Activity,
    query=[
        text("date", "YYYY-MM-DD, one of the last 30 completed days (UTC)."),
        text("api_key_hash", "Of one key."),
        text("user_id", "Of the keys that a member made."),
        text("group_by", "`workspace`."),
        text("workspace_id", "The organization's id."),
    ],
)
@api_view(["GET"])
def activity(request: Request) -> Response:
    caller = management(request)
    asked = request.query_params
    check_workspace(caller, asked.get("workspace_id"))
    if asked.get("group_by", "workspace") != "workspace":
        raise ApiError(400, "group_by: expected workspace.")
    # Where no endpoint answered there is nothing to tell, but for what a process left behind when it died.
    rows = access.in_organization(UsageDay.objects.exclude(endpoint_id=None, charge=0), caller.organization_id)
    rows = of_days(of_keys(rows, caller, asked), asked.get("date"))
    sums = rows.values("day", "model", "endpoint_id").annotate(
        name=Max("provider_name"), **{f"sum_{name}": Sum(name) for name in SUMS}
    )
    models = snapshot(request).models
    workspace = {"workspace_id": str(caller.organization_id)} if "group_by" in asked else {}
    return Response({"data": [item(row, models) | workspace for row in sums.order_by("-day", "model", "endpoint_id")]})


def of_days(rows: QuerySet[UsageDay], day: str | None) -> QuerySet[UsageDay]:
    today = datetime.now(UTC).date()
    if day is None:
        return rows.filter(day__gte=today - timedelta(days=DAYS), day__lt=today)
    try:
        asked = date.fromisoformat(day)
    except ValueError:
        asked = date.min
    if len(day) != len("YYYY-MM-DD") or not today - timedelta(days=DAYS) <= asked < today:
        raise ApiError(400, f"date: expected YYYY-MM-DD, one of the last {DAYS} completed UTC days.")
    return rows.filter(day=asked)


def of_keys(rows: QuerySet[UsageDay], caller: ApiKey, asked: Mapping[str, str]) -> QuerySet[UsageDay]:
    """A user's activity is that of the keys they made."""
    keys = access.all_keys_of(caller.organization_id)
    if "api_key_hash" in asked:
        if not access.HASH.fullmatch(asked["api_key_hash"]):
            raise ApiError(400, "api_key_hash: expected a key's hash, 64 hexadecimal digits.")
        rows = rows.filter(api_key_id__in=keys.filter(hash=asked["api_key_hash"]).values("id"))
    if "user_id" in asked:
        try:
            user_id = UUID(asked["user_id"])
        except ValueError:
            raise ApiError(400, "user_id: expected the id of a member.") from None
        rows = rows.filter(api_key_id__in=keys.filter(created_by=user_id).values("id"))
    return rows


def item(row: Mapping[str, Any], models: Mapping[str, Model]) -> dict[str, Any]:
    slug = row["model"]
    return {
        "date": row["day"].isoformat(),
        "model": slug,
        "model_permaslug": models[slug].canonical_slug if slug in models else slug,
        "endpoint_id": str(row["endpoint_id"] or ""),
        "provider_name": row["name"],
        "usage": usd(row["sum_charge"]),
        "byok_usage_inference": 0,
        **{name: row[f"sum_{name}"] for name in SUMS if name != "charge"},
    }
