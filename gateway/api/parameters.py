"""Query parameters: each read is a value or a 400 that names it."""

from rest_framework.request import Request

from gateway.errors import ApiError


def number(request: Request, name: str, default: int, least: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise ApiError(400, f"{name}: expected a whole number of at least {least}.")
    return int(text)


def flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise ApiError(400, f"{name}: expected true or false.")
    return text == "true"
