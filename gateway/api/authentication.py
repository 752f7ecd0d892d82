"""The key of a request."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts import keys
from accounts.models import ApiKey, User
from gateway.errors import ApiError


def bearer(authorization: str, api_key: str) -> str:
    """The token of `Authorization: Bearer …`, or of `x-api-key`, which some clients send; "" if there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else api_key


class KeyAuthentication(BaseAuthentication):
    """For the stock DRF views: `request.auth` is the live key. Without any key the request stays anonymous."""

    def authenticate(self, request: Request) -> tuple[User | None, ApiKey] | None:
        token = bearer(request.META.get("HTTP_AUTHORIZATION", ""), request.META.get("HTTP_X_API_KEY", ""))
        if not token:
            return None
        key = keys.find(token)
        if key is None:
            raise ApiError(401, "User not found: the API key is unknown, disabled or expired.")
        if key.visitor is not None:
            raise ApiError(403, "A visitor's key asks models and reads nothing of the organization that pays for it.")
        if key.organization.is_suspended and request.method not in SAFE_METHODS:
            raise ApiError(403, key.organization.suspension_notice)
        return key.created_by, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def required(request: Request) -> ApiKey:
    key: Any = request.auth
    if not isinstance(key, ApiKey):
        raise ApiError(401, "Missing Authentication header")
    return key


def management(request: Request) -> ApiKey:
    """The key, which must be a management key."""
    key = required(request)
    if not key.is_management:
        raise ApiError(403, "Only management keys can perform this operation.")
    return key
