"""Every request of an organization, with filters, and one of them with its attempts as a timeline."""

from datetime import UTC, datetime, timedelta
from typing import Any, Never
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from msgspec import Struct

from accounts import access
from accounts.models import Membership
from billing.generations import first_id, oldest_of, private_id, public_id
from billing.models import Generation
from gateway.pages.tenant import membership

PAGE = 50
# A filter looks at so many of the newest requests at once; a link leads further back.
SEARCHED = 20_000
MAX_TEXT = 200
TIMELINE = 1000


class Try(Struct, frozen=True):
    """An attempt, and where it stands on a line of TIMELINE units."""

    provider: str
    model: str
    status: int | None
    latency_ms: int
    error: str | None
    x: int
    width: int


@login_required
@require_safe
def logs(request: HttpRequest) -> HttpResponse:
    """Newest first; `before` is the id of the last row of the page before."""
    member = membership(request)
    asked = {name: request.GET.get(name, "").strip()[:MAX_TEXT] for name in ("model", "key", "outcome", "day")}
    every = generations(member)
    if before := request.GET.get("before"):
        every = every.filter(id__lt=private_id(before) or not_found())
    found, oldest = filtered(every, member, asked), None
    said = {name: value for name, value in asked.items() if value}
    if said.keys() - {"day"} and (oldest := oldest_of(of_day(every, asked["day"]), SEARCHED)):
        found = found.filter(id__gt=oldest)
    shown = rows(found[: PAGE + 1])
    context = {
        "recent": shown[:PAGE],
        "more": shown[PAGE - 1]["id"] if len(shown) > PAGE else None,
        # The page is not full, but there are requests that it did not look at.
        "further": before_next(oldest) if oldest and len(shown) <= PAGE else None,
        "searched": SEARCHED,
        "rest": f"&{urlencode(said)}" if said else "",
        "asked": asked,
        "is_filtered": bool(said),
        "keys": access.shown_keys(member).filter(is_management=False).order_by("name"),
        "outcomes": Generation.Outcome,
    }
    return render(request, "pages/logs.html", context)


@login_required
@require_safe
def generation(request: HttpRequest, public: str) -> HttpResponse:
    member = membership(request)
    found = generations(member).filter(id=private_id(public) or not_found()).first()
    if found is None:
        raise Http404
    keys = access.all_keys_of(member.organization_id).select_related("created_by")
    key = keys.filter(pk=found.api_key_id).first() if found.api_key_id else None
    context = {"public_id": public, "generation": found, "key": key, "tries": tries(found), "timeline": TIMELINE}
    return render(request, "pages/generation.html", context)


def filtered(found: QuerySet[Generation], member: Membership, asked: dict[str, str]) -> QuerySet[Generation]:
    if asked["model"]:
        found = found.filter(Q(model=asked["model"]) | Q(requested_model=asked["model"]))
    if asked["key"]:
        found = found.filter(
            api_key_id__in=access.all_keys_of(member.organization_id).filter(hash=asked["key"]).values("pk")
        )
    if asked["outcome"]:
        found = found.filter(outcome=asked["outcome"])
    return of_day(found, asked["day"])


def of_day(found: QuerySet[Generation], text: str) -> QuerySet[Generation]:
    if not text:
        return found
    day = day_of(text)
    return found.filter(id__gte=first_id(day), id__lt=first_id(day + timedelta(days=1)))


def before_next(oldest: UUID) -> str:
    """For `before` of the page that goes on with this one."""
    return public_id(UUID(int=oldest.int + 1))


def day_of(text: str) -> datetime:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Http404 from None
    return day if 2000 <= day.year < 9999 else not_found()


def tries(found: Generation) -> list[Try]:
    """One after the other, as long as each took."""
    latencies = [int(attempt.get("latency") or 0) for attempt in found.attempts]
    whole = sum(latencies) or 1
    drawn, begun = [], 0
    for attempt, latency in zip(found.attempts, latencies, strict=True):
        width = max(latency * TIMELINE // whole, 6)
        x = min(begun * TIMELINE // whole, TIMELINE - width)
        begun += latency
        names = str(attempt.get("provider_name") or ""), str(attempt.get("model_permaslug") or "")
        drawn.append(Try(*names, attempt.get("status"), latency, attempt.get("error"), x, width))
    return drawn


def not_found() -> Never:
    raise Http404


def generations(member: Membership) -> QuerySet[Generation]:
    return access.in_organization(Generation.objects.order_by("-id"), member.organization_id)


def rows(found: QuerySet[Generation]) -> list[dict[str, Any]]:
    return [{"id": public_id(row.id), "row": row} for row in found]
