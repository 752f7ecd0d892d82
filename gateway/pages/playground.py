"""The chat playground. The browser talks to the API as any client does, with a key of a quarter of an hour."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import access, keys, visitors
from accounts.audit import address_of
from accounts.roles import Right
from gateway.pages.catalogue import catalogue, example, for_visitors, rows
from gateway.pages.limits import limited
from gateway.pages.tenant import membership, user_of

LASTS = timedelta(minutes=15)
# A request that is under way when its key expires goes on; the next one asks for another key before that.
RENEW_S = 12 * 60
MOST_PROMPT = 2000


@require_safe
def playground(request: HttpRequest) -> HttpResponse:
    """`model` and `prompt` are what to begin with."""
    if not request.user.is_authenticated:
        return for_a_visitor(request)
    member = membership(request)
    access.demand(member, Right.MAKE_KEYS)
    found = catalogue(request)
    asked = request.GET.get("model", "")
    context = {
        "models": [row for row in rows(found) if "text" in row.model.output_modalities],
        "first": asked if asked in found.models else example(found),
        "prompt": request.GET.get("prompt", "")[:MOST_PROMPT],
        "key_url": reverse("playground-key"),
        "organization": member.organization,
    }
    return render(request, "pages/playground.html", context)


def for_a_visitor(request: HttpRequest) -> HttpResponse:
    found = catalogue(request)
    models = for_visitors(found)
    context = {
        "models": models,
        "first": models[0].slug if models else "",
        "prompt": request.GET.get("prompt", "")[:MOST_PROMPT],
        "key_url": reverse("visitor-key"),
        "per_hour": visitors.PER_HOUR,
        "is_open": settings.SIGNUP == "open",
        "model_count": len(rows(found)),
    }
    return render(request, "pages/playground.html" if models else "pages/playground_closed.html", context)


@never_cache
@require_POST
@limited("visitor", address="12/h")
def visitor_key(request: HttpRequest) -> HttpResponse:
    organization = visitors.payer()
    if organization is None:
        raise Http404
    token = visitors.issue(organization, address_of(request))
    return JsonResponse({"key": token, "renew_after_s": RENEW_S})


@login_required
@never_cache
@require_POST
@limited("playground", user="60/h")
def playground_key(request: HttpRequest) -> HttpResponse:
    """The one that the user's earlier page had goes."""
    member = membership(request)
    access.demand(member, Right.MAKE_KEYS)
    now = timezone.now()
    with transaction.atomic():
        access.playground_keys(member).filter(expires_at__lte=now).update(deleted_at=now, updated_at=now)
        _, token = keys.issue(
            member.organization,
            name="Playground",
            created_by=user_of(request),
            expires_at=now + LASTS,
            is_playground=True,
        )
    return JsonResponse({"key": token, "renew_after_s": RENEW_S})
