"""A body becomes a typed request, or a 400 that names the field."""

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from gateway.errors import ApiError
from providers.canonical import ChatRequest, Request

Body = TypeVar("Body")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
decode_chat = msgspec.json.Decoder(ChatRequest).decode
PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
UNKNOWN = re.compile(r"Object contains unknown field `(\w+)`$")
MISSING = re.compile(r"Object missing required field `(\w+)`$")


def chat(body: bytes) -> Request:
    try:
        if not body.isascii():
            # What is passed on raw is not decoded below; broken bytes would be blamed on the provider.
            body.decode()
        fields = decode_fields(body)
        request = decode_chat(body)
    except UNREADABLE as error:
        raise unreadable(error) from None
    if not request.candidates:
        raise ApiError(400, "model: this field is required.")
    return Request(request, fields)


def typed(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """A body of the other paths."""
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise unreadable(error) from None


def unreadable(error: Exception) -> ApiError:
    match error:
        case msgspec.ValidationError():
            return invalid(error)
        case RecursionError():
            return ApiError(400, "The request body is nested too deeply.")
        case _:
            return ApiError(400, f"The request body is not valid JSON: {error}")


def invalid(error: msgspec.ValidationError) -> ApiError:
    """msgspec says "Expected `int`, got `str` - at `$.max_tokens`"; the field goes in front."""
    text = str(error)
    if unknown := UNKNOWN.match(text):
        return ApiError(400, f"{unknown[1]}: there is no such field here.")
    if missing := MISSING.match(text):
        return ApiError(400, f"{missing[1]}: this field is required.")
    found = PLACE.search(text)
    if found is None or not found[1]:
        return ApiError(400, f"Invalid request: {text}")
    return ApiError(400, f"{found[1]}: {text[: found.start()]}")
