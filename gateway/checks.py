"""System checks: settings that would run but must not be run with."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from accounts.encryption import KeyRing


@register(Tags.security, deploy=True)
def secrets(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if len(settings.KEY_PEPPER) < 32:
        found.append(Error("TURNPIKE_KEY_PEPPER must have at least 32 characters.", id="turnpike.E001"))
    try:
        KeyRing.parse(settings.KEY_RING)
    except ValueError as error:
        found.append(Error(f"TURNPIKE_KEY_RING: {error}", id="turnpike.E002"))
    return found


@register(Tags.security, deploy=True)
def servers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not getattr(settings, name)]
    return [Error(f"{name} is not set.", id="turnpike.E003") for name in missing]
