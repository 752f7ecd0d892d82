"""What an organization's members see first: balance, spend, recent requests; and first steps until there is one."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import access
from accounts.models import Membership
from billing import spending
from billing.wallets import wallet_of
from gateway.pages.catalogue import catalogue, example
from gateway.pages.chart import bars
from gateway.pages.logs import generations, rows
from gateway.pages.tenant import membership

DAYS = 30
RECENT = 8


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    member = membership(request)
    days = spending.by_day(member.organization_id, days=DAYS)
    recent = rows(generations(member)[:RECENT])
    context = {
        "organization": member.organization,
        "wallet": wallet_of(member.organization_id),
        "bars": bars(days),
        "days": days,
        "spent": sum(day.charge for day in days),
        "recent": recent,
        **({} if recent else first_steps(request, member)),
    }
    return render(request, "pages/dashboard.html", context)


@login_required
@never_cache
@require_safe
def first_request(request: HttpRequest) -> HttpResponse:
    """What the page of first steps asks for while it waits."""
    found = rows(generations(membership(request))[:1])
    return render(request, "pages/first_request.html", {"found": found[0] if found else None})


def first_steps(request: HttpRequest, member: Membership) -> dict[str, object]:
    return {
        "slug": example(catalogue(request)),
        "public_url": settings.PUBLIC_URL,
        "may_create": access.may_create_key(member),
    }
