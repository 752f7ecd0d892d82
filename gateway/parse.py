"""A body becomes a typed request, or a 400 that names the field."""

import re

import msgspec
from msgspec import Raw

from gateway.errors import ApiError
from providers.canonical import ChatRequest, Request

decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
decode_chat = msgspec.json.Decoder(ChatRequest).decode
PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")


def chat(body: bytes) -> Request:
    try:
        fields = decode_fields(body)
        request = decode_chat(body)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}") from None
    except RecursionError:
        raise ApiError(400, "The request body is nested too deeply.") from None
    if not request.candidates:
        raise ApiError(400, "model: this field is required.")
    return Request(request, fields)


def invalid(error: msgspec.ValidationError) -> ApiError:
    """msgspec says "Expected `int`, got `str` - at `$.max_tokens`"; the field goes in front."""
    text = str(error)
    found = PLACE.search(text)
    if found is None or not found[1]:
        return ApiError(400, f"Invalid request: {text}")
    return ApiError(400, f"{found[1]}: {text[: found.start()]}")
