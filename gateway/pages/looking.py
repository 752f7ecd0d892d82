"""While an operator looks at an organization (accounts/looking.py): a banner on every page, and no writes at all."""

import re
from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import InternalError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_POST
from psycopg.errors import ReadOnlySqlTransaction
from rest_framework.permissions import SAFE_METHODS

from accounts import looking
from accounts.looking import Looking
from gateway.errors import ApiError, is_api

BODY = re.compile(rb"<body[^>]*>")
REFUSAL = "You look at an organization: nothing can be changed. End looking first."


class LookingMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Asking for the session would tell caches that every answer of the API differs by its cookie.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or looking.SESSION_KEY not in request.session:
            return self.get_response(request)
        if request.method == "POST" and request.path in (reverse("account_logout"), reverse("admin:logout")):
            looking.end(request, "logged out")
            return self.get_response(request)
        found = looking.resume(request)
        if found is None:
            return over(request)
        if request.path == reverse("end-look"):
            return self.get_response(request)
        if request.method not in SAFE_METHODS:
            return with_banner(request, refusal(request), found)
        if request.path != reverse("first-request"):
            # That part of a page asks again every two seconds.
            looking.record_page(request, found)
        return with_banner(request, self.read_only(request), found)

    def read_only(self, request: HttpRequest) -> HttpResponse:
        """A page that would write, whatever its method, is refused by the database."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
            response = self.get_response(request)
        return refusal(request) if getattr(request, "would_write", False) else response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        is_write = isinstance(error, InternalError) and isinstance(error.__cause__, ReadOnlySqlTransaction)
        if not is_write or looking.current(request) is None:
            return None
        # The page that says so is made when this transaction is over.
        request.would_write = True  # type: ignore[attr-defined]
        return HttpResponseForbidden()


@login_required
@require_POST
def end(request: HttpRequest) -> HttpResponse:
    organization = looking.end(request, "ended")
    if organization is None:
        return redirect("dashboard")
    return redirect("admin:accounts_organization_change", organization)


def over(request: HttpRequest) -> HttpResponse:
    organization = looking.end(request, "its time was over")
    messages.info(request, "You do not look at the organization any more: half an hour is over.")
    return redirect("admin:accounts_organization_change", organization)


def refusal(request: HttpRequest) -> HttpResponse:
    if is_api(request.path):
        return ApiError(403, REFUSAL).response()
    return render(request, "403.html", {"exception": REFUSAL}, status=403)


def with_banner(request: HttpRequest, response: HttpResponse, found: Looking) -> HttpResponse:
    """On whatever page it is, the admin's and other people's included."""
    if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
        return response
    context = {"organization": found.organization, "until": found.until}
    banner = render_to_string("admin/looking.html", context, request).encode()
    style = f'<link rel="stylesheet" href="{static("looking.css")}"></head>'.encode()
    body = BODY.sub(lambda match: match[0] + banner, response.content, count=1)
    response.content = body.replace(b"</head>", style, 1)
    return response
