"""From a skin's words to the canonical request: written as a chat body, then read like one."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from gateway import parse
from gateway.errors import ApiError
from providers import surrogates
from providers.canonical import Family, Request

T = TypeVar("T")

encode = msgspec.json.Encoder().encode


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> tuple[T, dict[str, Raw]]:
    """The body as the skin has it, and the raw JSON of each of its fields."""
    try:
        if not body.isascii():
            body.decode()
        return surrogates.lenient(lambda json: (decoder.decode(json), parse.decode_fields(json)), body)
    except parse.UNREADABLE as error:
        raise parse.unreadable(error) from None


def request(chat: Mapping[str, Any], family: Family, native: dict[str, Raw]) -> Request:
    """Null is left out: what a client did not say is not said on."""
    found = parse.chat(encode({name: value for name, value in chat.items() if value is not None}))
    return Request(found.chat, found.fields, family, native)


def missing(place: str) -> ApiError:
    return ApiError(400, f"{place}: this field is required.")


def bad(place: str, why: str) -> ApiError:
    return ApiError(400, f"{place}: {why}")
