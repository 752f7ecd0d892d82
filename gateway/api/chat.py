"""POST /api/v1/chat/completions."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.views import APIView

from gateway import errors, pipeline
from gateway.api.authentication import bearer
from gateway.generation import Origin
from gateway.lean import StreamResponse


class InferenceView(APIView):
    """A DRF view with a dispatch of its own.

    DRF has no async code, and its Request, negotiation and rendering would cost more than all the rest of the way. What
    stays of it is the view class, its exception handling and schema introspection.
    """

    authentication_classes = ()

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        self.request = request  # type: ignore[assignment]
        self.headers = {}
        handler = getattr(self, (request.method or "").lower(), None)
        if handler is None or request.method not in ("POST", "OPTIONS"):
            response = errors.translate(exceptions.MethodNotAllowed(request.method or "")).response()
            response["Allow"] = "POST, OPTIONS"
            return response
        try:
            result: HttpResponseBase = await handler(request, *args, **kwargs)
        except Exception as error:
            return self.handle_exception(error)
        return result

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        handler = self.get_exception_handler()
        response: HttpResponse = handler(exc, self.get_exception_handler_context())
        return response

    async def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": "POST, OPTIONS"})


class ChatCompletions(InferenceView):
    async def post(self, request: HttpRequest) -> HttpResponseBase:
        services: pipeline.Services = request.scope["state"]["services"]  # type: ignore[attr-defined]
        answer = await pipeline.chat(services, token=bearer(request), body=request.body, origin=origin(request))
        if isinstance(answer.body, bytes):
            return HttpResponse(answer.body, content_type=errors.JSON, headers={"X-Generation-Id": answer.generation})
        return StreamResponse(answer.body, answer.generation)


def origin(request: HttpRequest) -> Origin:
    meta = request.META
    return Origin(
        http_referer=meta.get("HTTP_REFERER"),
        app_title=meta.get("HTTP_X_OPENROUTER_TITLE") or meta.get("HTTP_X_TITLE"),
        user_agent=meta.get("HTTP_USER_AGENT"),
        session_id=meta.get("HTTP_X_SESSION_ID"),
    )
