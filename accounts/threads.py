"""Questions to Django's ORM from the event loop."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

Asked = ParamSpec("Asked")
Found = TypeVar("Found")


async def in_thread(question: Callable[Asked, Found], *args: Asked.args, **kwargs: Asked.kwargs) -> Found:
    def ask() -> Found:
        # This thread serves no request of Django's, so nobody else lets go of a connection that died.
        close_old_connections()
        return question(*args, **kwargs)

    return await sync_to_async(ask)()
