"""The paths that the lean handler serves (gateway/asgi.py)."""

from django.urls import path

from gateway.api.health import livez, readyz
from gateway.api.inference import ChatCompletions, CompletionsView, EmbeddingsView, MessagesView, ResponsesView

urlpatterns = [
    path("api/v1/chat/completions", ChatCompletions.as_view(), name="chat-completions"),
    path("api/v1/messages", MessagesView.as_view(), name="messages"),
    path("api/v1/responses", ResponsesView.as_view(), name="responses"),
    path("api/v1/completions", CompletionsView.as_view(), name="completions"),
    path("api/v1/embeddings", EmbeddingsView.as_view(), name="embeddings"),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
]
