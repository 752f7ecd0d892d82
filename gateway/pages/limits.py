"""How often one address, or one e-mail at one address book, may try. Counted in Redis for all processes together."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django_ratelimit.core import is_ratelimited
from redis.exceptions import RedisError

from accounts.audit import address_of
from accounts.visitors import network_of

View = Callable[..., HttpResponseBase]
Key = Callable[[str, HttpRequest], str]


def by_address(group: str, request: HttpRequest) -> str:
    return network_of(address_of(request) or "-")


def by_email(group: str, request: HttpRequest) -> str:
    """Who is being guessed at, whatever field of the form says it."""
    named = (request.POST.get(field) for field in ("login", "email", "username"))
    return next(filter(None, named), "-").strip().lower()


def by_user(group: str, request: HttpRequest) -> str:
    return str(request.user.pk)


def limited(group: str, **rates: str) -> Callable[[View], View]:
    """`limited("login", address="20/m", email="10/5m")`: POSTs beyond a rate are refused with 429. Sync views only."""
    keys: dict[str, Key] = {"address": by_address, "email": by_email, "user": by_user}

    def decorate(view: View) -> View:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                refused = [
                    by
                    for by, rate in rates.items()
                    if is_ratelimited(
                        request, f"{group}:{by}", key=keys[by], rate=rate, method=["POST"], increment=True
                    )
                ]
                return too_many(request) if refused else view(request, *args, **kwargs)
            except RedisError:
                # Without the counters a password could be guessed at any speed.
                return render(request, "503.html", status=503)

        return checked

    return decorate


def too_many(request: HttpRequest) -> HttpResponse:
    response = render(request, "429.html", status=429)
    response["Retry-After"] = "60"
    return response
