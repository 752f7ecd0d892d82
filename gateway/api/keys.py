"""/keys and /keys/{hash}: an organization's inference keys, managed with a management key (§1.7)."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from msgspec import UNSET, Meta, Struct, UnsetType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access, audit, keys
from accounts.audit import Verb
from accounts.models import ApiKey, Membership, User, Window
from billing import budgets
from billing.budgets import UNUSED, BudgetUsage
from billing.money import NANO_PER_USD
from gateway import parse
from gateway.api.account import spending
from gateway.api.authentication import management
from gateway.api.openapi import describe, text
from gateway.api.parameters import flag, number
from gateway.api.shapes.account import CreatedKey, Deleted, KeyListing, OneKey
from gateway.errors import ApiError

PAGE = 100
MAX_LIMIT_USD = Decimal(10**9)

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, Meta(tz=True)]
Dollars = Annotated[Decimal, Meta(extra_json_schema={"type": "number", "format": "double"})]
LISTED = [
    text("offset", "So many are skipped."),
    text("include_disabled", "true or false."),
    text("include_expired", "true or false."),
    text("workspace_id", "The organization's id."),
]


class External(Struct, forbid_unknown_fields=True):
    """Whom an integrator makes a key for, by their own names."""

    user: Annotated[str, Meta(min_length=1, max_length=256)]
    api_key: str | None = None


class NewKey(Struct, forbid_unknown_fields=True):
    """`include_byok_in_limit` says nothing yet: there are no keys of one's own."""

    name: Name
    limit: Dollars | None = None
    limit_reset: Window | None = None
    expires_at: Moment | None = None
    include_byok_in_limit: bool = False
    creator_user_id: UUID | None = None
    workspace_id: UUID | None = None
    external: External | None = None


class ChangedKey(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    limit: Dollars | UnsetType | None = UNSET
    limit_reset: Window | UnsetType | None = UNSET
    include_byok_in_limit: bool = False
    workspace_id: UUID | None = None


new_key = msgspec.json.Decoder(NewKey)
changed_key = msgspec.json.Decoder(ChangedKey)


class KeyList(APIView):
    @describe("Keys", "Lists the organization's keys", KeyListing, query=LISTED, operation_id="keys_list")
    def get(self, request: Request) -> Response:
        caller = management(request)
        offset = number(request, "offset", 0, 0)
        check_workspace(caller, request.query_params.get("workspace_id"))
        rows = access.keys_of(caller.organization_id).order_by("-id")
        if not flag(request, "include_disabled"):
            rows = rows.filter(is_disabled=False)
        if not flag(request, "include_expired"):
            rows = rows.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
        page = list(rows[offset : offset + PAGE])
        spent = budgets.usages(row.pk for row in page)
        return Response({"data": [key_row(row, spent.get(row.pk, UNUSED)) for row in page]})

    @describe("Keys", "Makes a key", CreatedKey, body=NewKey, status=201)
    def post(self, request: Request) -> Response:
        caller = management(request)
        asked = parse.typed(new_key, request.body)
        check_workspace(caller, asked.workspace_id)
        expires_at = future(asked.expires_at)
        with transaction.atomic():
            row, token = keys.issue(
                caller.organization,
                name=printable(asked.name),
                created_by=creator(caller, asked.creator_user_id),
                limit_nano=nano(asked.limit),
                limit_reset=asked.limit_reset or "",
                expires_at=expires_at,
                external_user=printable(asked.external.user, "external.user") if asked.external else None,
            )
            record(request, caller, Verb.CREATE, row, {"name": row.name})
        return Response({"data": key_row(row, UNUSED), "key": token}, status=201)


class KeyDetail(APIView):
    @describe("Keys", "One key", OneKey)
    def get(self, request: Request, hash: str) -> Response:
        return answer(own_key(management(request), hash))

    @describe("Keys", "Changes a key", OneKey, body=ChangedKey)
    def patch(self, request: Request, hash: str) -> Response:
        caller = management(request)
        row = own_key(caller, hash)
        asked = parse.typed(changed_key, request.body)
        check_workspace(caller, asked.workspace_id)
        new = changes(asked)
        told = {name: [audit.plain(getattr(row, name)), audit.plain(value)] for name, value in new.items()}
        with transaction.atomic():
            keys.change(row, new)
            record(request, caller, Verb.UPDATE, row, told)
        return answer(row)

    @describe("Keys", "Deletes a key for good", Deleted)
    def delete(self, request: Request, hash: str) -> Response:
        caller = management(request)
        row = own_key(caller, hash)
        with transaction.atomic():
            keys.delete(row)
            record(request, caller, Verb.DELETE, row, {"name": row.name})
        return Response({"deleted": True})


def future(moment: datetime | None) -> datetime | None:
    """In UTC: PostgreSQL takes no offset beyond 16 hours."""
    try:
        if moment is None or (moment := moment.astimezone(UTC)) > datetime.now(UTC):
            return moment
    except OverflowError:
        # Before the year 1 or after 9999.
        pass
    raise ApiError(400, "expires_at: expected a moment in the future.")


def own_key(caller: ApiKey, key_hash: str) -> ApiKey:
    try:
        return access.get_key(caller.organization_id, key_hash)
    except ApiKey.DoesNotExist:
        raise ApiError(404, f"API key {key_hash[:80]} not found.") from None


def record(request: Request, caller: ApiKey, verb: Verb, row: ApiKey, details: dict[str, Any]) -> None:
    """The actor is who made the management key; the key itself is in the details."""
    by = {"by_key": str(caller.pk)}
    audit.record(request._request, verb, row, organization_id=row.organization_id, details=details | by)


def answer(row: ApiKey) -> Response:
    return Response({"data": key_row(row, budgets.usage(row.pk))})


def key_row(row: ApiKey, spent: BudgetUsage) -> dict[str, Any]:
    return {
        "hash": row.hash,
        "label": row.label,
        "name": row.name,
        "disabled": row.is_disabled,
        **spending(row, spent),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "expires_at": row.expires_at,
        "creator_user_id": row.created_by_id and str(row.created_by_id),
        "external_user": row.external_user,
        "last_used_at": row.last_used_at,
        # An organization has one workspace, under its own id.
        "workspace_id": str(row.organization_id),
    }


def changes(asked: ChangedKey) -> keys.Changes:
    found: keys.Changes = {}
    if asked.name is not UNSET:
        found["name"] = printable(asked.name)
    if asked.disabled is not UNSET:
        found["is_disabled"] = asked.disabled
    if asked.limit is not UNSET:
        found["limit_nano"] = nano(asked.limit)
    if asked.limit_reset is not UNSET:
        found["limit_reset"] = asked.limit_reset or ""
    return found


def nano(limit: Decimal | None) -> int | None:
    """USD as decimal text to nano-USD, half up; never by way of a float."""
    if limit is None:
        return None
    if not limit.is_finite() or not 0 <= limit <= MAX_LIMIT_USD:
        raise ApiError(400, f"limit: expected an amount of USD from 0 to {MAX_LIMIT_USD}.")
    return int((limit * NANO_PER_USD).to_integral_value(ROUND_HALF_UP))


def printable(text: str, field: str = "name") -> str:
    # PostgreSQL's text cannot hold it.
    if "\0" in text:
        raise ApiError(400, f"{field}: it must not hold a NUL.")
    return text


def creator(caller: ApiKey, user_id: UUID | None) -> User | None:
    """Who made the management key, unless another member is named."""
    if user_id is None:
        return caller.created_by
    try:
        return access.get_member(caller.organization_id, user_id)
    except Membership.DoesNotExist:
        raise ApiError(400, "creator_user_id: this is no member of the organization.") from None


def check_workspace(caller: ApiKey, workspace_id: UUID | str | None) -> None:
    if workspace_id is not None and str(workspace_id) != str(caller.organization_id):
        raise ApiError(400, "workspace_id: there is no such workspace.")
