"""What gateway/settings.py makes of the texts that it finds: servers, amounts, shares."""

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict, make_conninfo


def watched(url: str) -> str:
    """A server that vanished without a word is noticed within half a minute; what the URL says itself stands."""
    if not url:
        return ""
    watch: dict[str, Any] = {
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }
    return make_conninfo("", **(watch | conninfo_to_dict(url)))


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a libpq URL or conninfo string; unix sockets and TLS options are libpq's."""
    info = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        # Both Django and the till must mean the same database, so it has to be named.
        "NAME": info.pop("dbname", ""),
        "USER": info.pop("user", ""),
        "PASSWORD": info.pop("password", ""),
        "HOST": info.pop("host", ""),
        "PORT": info.pop("port", ""),
        "OPTIONS": {"connect_timeout": "5", **info},
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def amount(name: str, usd: str, *, decimals: int) -> int:
    """USD in its smallest part of so many decimals: 2 for cents, 9 for nano-USD."""
    try:
        found = Decimal(usd).scaleb(decimals)
    except InvalidOperation:
        raise ImproperlyConfigured(f"{name} is not an amount of USD: {usd!r}.") from None
    if not found.is_finite() or found < 0 or found % 1:
        raise ImproperlyConfigured(f"{name} must be an amount of USD from 0 up, with at most {decimals} decimals.")
    return int(found)


def percent(name: str, text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        raise ImproperlyConfigured(f"{name} is not a number.") from None
    if not 0 <= share <= 100:
        raise ImproperlyConfigured(f"{name} must be from 0 to 100.")
    return share


def identity(name: str, text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not the id of an organization (its page Settings shows it).") from None


def broker(url: str) -> str:
    """Kombu's spelling of a Redis URL: unix sockets have another scheme and name the database otherwise."""
    return url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
