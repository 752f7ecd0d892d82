"""Paths that are not served."""

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from gateway import errors
from gateway.errors import ApiError
from gateway.skins.messages import Messages

# What Anthropic's clients ask for lies below it (`count_tokens`, `batches`).
MESSAGES = "/api/v1/messages/"
messages = Messages()


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 as a page, or in the envelope that the path's clients read."""
    if not errors.is_api(request.path):
        return defaults.page_not_found(request, exception)
    error = ApiError(404, f"There is no {request.method} {request.path}.")
    return error.response(messages.envelope(error) if request.path.startswith(MESSAGES) else None)
