"""The paths that answer with a model, one view a skin."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.views import APIView

from gateway import errors, pipeline
from gateway.api.authentication import bearer
from gateway.api.browsers import preflight
from gateway.api.openapi import describe, ref
from gateway.api.shapes.chat import ChatChunk, ChatCompletion
from gateway.api.shapes.messages import MessageAnswer, MessageError, MessageEvent
from gateway.api.shapes.skins import EmbeddingList, ResponseEvent, ResponseObject, TextCompletion
from gateway.generation import Origin
from gateway.lean import LeanRequest, StreamResponse
from gateway.services import Services
from gateway.skins.base import Skin
from gateway.skins.chat import Chat
from gateway.skins.completions import CompletionRequest, Completions
from gateway.skins.embeddings import Embeddings
from gateway.skins.messages import Messages
from gateway.skins.messages.request import MessagesRequest
from gateway.skins.responses import Responses
from gateway.skins.responses.request import ResponsesRequest
from providers.canonical import ChatRequest, EmbeddingRequest

SSE = "text/event-stream"


class InferenceView(APIView):
    """A DRF view with a dispatch of its own.

    DRF has no async code, and its Request, negotiation and rendering would cost more than all the rest of the way. What
    stays of it is the view class, its exception handling and schema introspection.
    """

    authentication_classes = ()
    skin: ClassVar[Skin]

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        self.request = request  # type: ignore[assignment]
        self.headers = {}
        handler = getattr(self, (request.method or "").lower(), None)
        if handler is None or request.method not in ("POST", "OPTIONS"):
            response = self.refusal(exceptions.MethodNotAllowed(request.method or ""))
            response["Allow"] = "POST, OPTIONS"
            return response
        try:
            result: HttpResponseBase = await handler(request, *args, **kwargs)
        except Exception as error:
            return self.handle_exception(error)
        return result

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        return self.refusal(exc)

    @classmethod
    def refusal(cls, error: Exception) -> HttpResponse:
        """Any error, in the skin's envelope."""
        said = errors.translate(error)
        return said.response(cls.skin.envelope(said))

    async def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        wanted = self.request.headers.get("Access-Control-Request-Headers", "")
        return preflight("POST, OPTIONS", wanted)

    @classmethod
    async def admit(cls, scope: Any) -> None:
        """Whether to read a large body at all. Raises ApiError."""
        services: Services = scope["state"]["services"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = [headers.get(name, b"").decode("latin1") for name in (b"authorization", b"x-api-key")]
        await pipeline.authenticate(services.callers, bearer(*given))

    def skin_of(self, body: bytes) -> Skin:
        return self.skin

    async def post(self, request: LeanRequest) -> HttpResponseBase:
        services: Services = request.scope["state"]["services"]
        token = bearer(request.header(b"authorization"), request.header(b"x-api-key"))
        answer = await pipeline.respond(
            services,
            self.skin_of(request.body),
            token=token,
            body=request.body,
            origin=origin(request),
        )
        response: HttpResponseBase
        if isinstance(answer.body, bytes):
            response = HttpResponse(answer.body, content_type=errors.JSON)
        else:
            response = StreamResponse(answer.body)
        response["X-Generation-Id"] = answer.generation
        if answer.is_replayed:
            response["Idempotent-Replayed"] = "true"
        return response


class ChatCompletions(InferenceView):
    skin = Chat()
    text = Completions()

    def skin_of(self, body: bytes) -> Skin:
        """A prompt in place of messages is answered as a text."""
        return self.skin if b'"messages"' in body or b'"prompt"' not in body else self.text

    @describe(
        "Inference",
        "Answers a chat, whole or streamed",
        ChatCompletion,
        body=ChatRequest,
        more={(200, SSE): ref(ChatChunk)},
    )
    async def post(self, request: LeanRequest) -> HttpResponseBase:
        return await super().post(request)


class MessagesView(InferenceView):
    skin = Messages()

    @describe(
        "Inference",
        "Answers Anthropic's Messages, whole or streamed",
        MessageAnswer,
        body=MessagesRequest,
        more={(200, SSE): ref(MessageEvent)},
        error=MessageError,
    )
    async def post(self, request: LeanRequest) -> HttpResponseBase:
        return await super().post(request)


class ResponsesView(InferenceView):
    skin = Responses()

    @describe(
        "Inference",
        "Answers OpenAI's Responses, whole or streamed",
        ResponseObject,
        body=ResponsesRequest,
        more={(200, SSE): ref(ResponseEvent)},
    )
    async def post(self, request: LeanRequest) -> HttpResponseBase:
        return await super().post(request)


class CompletionsView(InferenceView):
    skin = Completions()

    @describe(
        "Inference",
        "Answers a prompt with text, whole or streamed",
        TextCompletion,
        body=CompletionRequest,
        more={(200, SSE): ref(TextCompletion)},
    )
    async def post(self, request: LeanRequest) -> HttpResponseBase:
        return await super().post(request)


class EmbeddingsView(InferenceView):
    skin = Embeddings()

    @describe("Inference", "Makes vectors of texts", EmbeddingList, body=EmbeddingRequest)
    async def post(self, request: LeanRequest) -> HttpResponseBase:
        return await super().post(request)


def origin(request: LeanRequest) -> Origin:
    header = request.header
    metadata = header(b"x-openrouter-metadata") or header(b"x-openrouter-experimental-metadata")
    return Origin(
        http_referer=header(b"http-referer") or header(b"referer"),
        app_title=header(b"x-openrouter-title") or header(b"x-title"),
        user_agent=header(b"user-agent"),
        session_id=header(b"x-session-id"),
        wants_metadata=metadata.lower() == "enabled",
        path=request.path,
        idempotency_key=header(b"idempotency-key"),
    )
