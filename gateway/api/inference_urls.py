"""The paths that the lean handler serves (gateway/asgi.py)."""

from django.urls import path

from gateway.api.health import livez, readyz
from gateway.api.inference import ChatCompletions, MessagesView

urlpatterns = [
    path("api/v1/chat/completions", ChatCompletions.as_view(), name="chat-completions"),
    path("api/v1/messages", MessagesView.as_view(), name="messages"),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
]
