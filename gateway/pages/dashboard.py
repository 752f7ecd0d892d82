"""What an organization's members see of its requests: dashboard, activity, a generation."""

from typing import Any, Never

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import access
from accounts.models import Membership
from billing import spending
from billing.generations import private_id, public_id
from billing.models import Generation
from billing.wallets import wallet_of
from gateway.pages.chart import bars
from gateway.pages.tenant import membership

DAYS = 30
RECENT = 8
PAGE = 50


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    days = spending.by_day(member.organization_id, days=DAYS)
    context = {
        "organization": member.organization,
        "wallet": wallet_of(member.organization_id),
        "bars": bars(days),
        "days": days,
        "spent": sum(day.charge for day in days),
        "recent": rows(generations(member)[:RECENT]),
        "public_url": settings.PUBLIC_URL,
    }
    return render(request, "pages/dashboard.html", context)


@login_required
@require_safe
def activity(request: HttpRequest) -> HttpResponse:
    """Newest first; `before` is the id of the last row of the page before."""
    found = generations(membership(request))
    if before := request.GET.get("before"):
        found = found.filter(id__lt=private_id(before) or not_found())
    shown = rows(found[: PAGE + 1])
    more = shown[PAGE - 1]["id"] if len(shown) > PAGE else None
    return render(request, "pages/activity.html", {"recent": shown[:PAGE], "more": more})


@login_required
@require_safe
def generation(request: HttpRequest, public: str) -> HttpResponse:
    member = membership(request)
    found = generations(member).filter(id=private_id(public) or not_found()).first()
    if found is None:
        raise Http404
    keys = access.all_keys_of(member.organization_id)
    key = keys.filter(pk=found.api_key_id).first() if found.api_key_id else None
    return render(request, "pages/generation.html", {"public_id": public, "generation": found, "key": key})


def not_found() -> Never:
    raise Http404


def generations(member: Membership) -> QuerySet[Generation]:
    return access.in_organization(Generation.objects.order_by("-id"), member.organization_id)


def rows(found: QuerySet[Generation]) -> list[dict[str, Any]]:
    return [{"id": public_id(row.id), "row": row} for row in found]
