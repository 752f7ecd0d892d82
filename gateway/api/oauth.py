"""POST /auth/keys and /auth/keys/code: OAuth PKCE without a client registration (§1.10). The page is /auth."""

import zlib
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from msgspec import Meta, Struct
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit, codes
from accounts.audit import Verb
from accounts.codes import BadCode, MethodMismatch, Suspended
from accounts.models import ApiKey, Window
from gateway import parse
from gateway.api.authentication import required
from gateway.api.keys import Dollars, Moment, check_workspace, future, nano, printable
from gateway.api.openapi import describe
from gateway.api.shapes.account import CreatedCode, ExchangedKey
from gateway.errors import ApiError

Method = Literal["S256", "plain"]
Challenge = Annotated[str, Meta(min_length=1, max_length=128)]


class Exchange(Struct):
    code: Annotated[str, Meta(min_length=1, max_length=200)]
    code_verifier: Annotated[str, Meta(max_length=128)] | None = None
    code_challenge_method: Method | None = None


class NewCode(Struct):
    callback_url: str
    code_challenge: Challenge | None = None
    code_challenge_method: Method | None = None
    limit: Dollars | None = None
    usage_limit_type: Window | None = None
    expires_at: Moment | None = None
    key_label: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    workspace_id: UUID | None = None


exchange_body = msgspec.json.Decoder(Exchange)
new_code_body = msgspec.json.Decoder(NewCode)


@describe("Keys", "Exchanges an authorization code for a key", ExchangedKey, body=Exchange, is_public=True)
@api_view(["POST"])
def exchange(request: Request) -> Response:
    """The code is the authentication."""
    asked = parse.typed(exchange_body, request.body)
    try:
        with transaction.atomic():
            key, token = codes.exchange(
                asked.code, verifier=asked.code_verifier or "", method=asked.code_challenge_method or ""
            )
            audit.record(request._request, Verb.CREATE, key, organization_id=key.organization_id, details=by_code(key))
    except MethodMismatch:
        raise ApiError(400, "code_challenge_method: the code was made with another method.") from None
    except Suspended as error:
        raise ApiError(403, str(error)) from None
    except BadCode:
        raise ApiError(403, "Invalid or expired code, or wrong code_verifier.") from None
    return Response({"key": token, "user_id": key.created_by_id and str(key.created_by_id)})


@describe("Keys", "Makes an authorization code", CreatedCode, body=NewCode)
@api_view(["POST"])
def create_code(request: Request) -> Response:
    """On the server of who has a key already. What a limited key could hand out would escape its limit."""
    caller = required(request)
    if caller.limit_nano is not None or caller.expires_at is not None:
        raise ApiError(403, "A key with a limit or an expiry of its own cannot hand out keys.")
    asked = parse.typed(new_code_body, request.body)
    check_workspace(caller, asked.workspace_id)
    try:
        codes.check_callback(asked.callback_url)
    except ValidationError as error:
        raise ApiError(400, f"callback_url: {error.messages[0]}") from None
    row, code = codes.issue(
        caller.organization,
        caller.created_by,
        key_name=printable(asked.key_label or codes.origin(asked.callback_url)),
        callback_url=asked.callback_url,
        challenge=asked.code_challenge or "",
        method=codes.method_of(asked.code_challenge or "", asked.code_challenge_method or ""),
        limit_nano=nano(asked.limit),
        limit_reset=(asked.usage_limit_type or "") if asked.limit is not None else "",
        key_expires_at=future(asked.expires_at),
    )
    app_id = zlib.crc32(codes.origin(row.callback_url).encode())
    return Response({"data": {"id": code, "app_id": app_id, "created_at": row.created_at}})


def by_code(key: ApiKey) -> dict[str, str]:
    return {"name": key.name, "by": "authorization code"}
