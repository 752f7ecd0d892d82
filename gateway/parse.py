"""A body becomes a typed request, or a 400 that names the field."""

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from gateway.errors import ApiError
from providers import surrogates
from providers.canonical import ChatRequest, Request, ToolChoice

Body = TypeVar("Body")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
decode_chat = msgspec.json.Decoder(ChatRequest).decode
# What a part of this type must have.
MEMBERS = {
    "text": "text",
    "image_url": "image_url",
    "input_audio": "input_audio",
    "file": "file",
    "video_url": "video_url",
}
PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
UNKNOWN = re.compile(r"Object contains unknown field `(\w+)`$")
MISSING = re.compile(r"Object missing required field `(\w+)`$")


def chat(body: bytes) -> Request:
    try:
        if not body.isascii():
            # What is passed on raw is not decoded below; broken bytes would be blamed on the provider.
            body.decode()
        fields, request = surrogates.lenient(decoded, body)
    except UNREADABLE as error:
        raise unreadable(error) from None
    if not request.candidates:
        raise required("model")
    check(request)
    return Request(request, fields)


def decoded(body: bytes) -> tuple[dict[str, Raw], ChatRequest]:
    return decode_fields(body), decode_chat(body)


def check(chat: ChatRequest) -> None:
    """What depends on another member."""
    for place, message in enumerate(chat.messages):
        if message.role == "tool" and message.tool_call_id is None:
            raise required(f"messages[{place}].tool_call_id")
        if isinstance(message.content, list):
            for at, part in enumerate(message.content):
                member = MEMBERS.get(part.type)
                if member is not None and getattr(part, member) is None:
                    raise required(f"messages[{place}].content[{at}].{member}")
    for place, tool in enumerate(chat.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise required(f"tools[{place}].function")
    choice = chat.tool_choice
    if isinstance(choice, ToolChoice) and choice.type == "function" and choice.function is None:
        raise required("tool_choice.function")
    wanted = chat.response_format
    if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is None:
        raise required("response_format.json_schema")


def required(field: str) -> ApiError:
    return ApiError(400, f"{field}: this field is required.")


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
