"""What organizations that keep content said and were told: gathered on the way, written when the answer is over.

Written beside the request, by a thread: a process that dies between loses the content, never money.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

import msgspec
from django.db import DatabaseError
from msgspec import UnsetType

from accounts.threads import in_thread
from billing import contents
from providers.canonical import Completion, Request

logger = logging.getLogger(__name__)

# More than this of one request is not kept: images would fill the table.
MOST_BYTES = 1_000_000


class Contents:
    def __init__(self) -> None:
        self._writing: set[asyncio.Task[None]] = set()

    def keep(self, generation: UUID, organization_id: UUID, content: str) -> None:
        task = asyncio.create_task(self._write(generation, organization_id, content))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self, patience: float) -> None:
        if self._writing:
            await asyncio.wait(self._writing, timeout=patience)

    async def _write(self, generation: UUID, organization_id: UUID, content: str) -> None:
        try:
            await in_thread(contents.keep, generation, organization_id, content)
        except DatabaseError as error:
            logger.warning("the content of %s is lost: %s", generation, type(error).__name__)


class Transcript:
    """Of one generation: its first choice, as the reference tells it."""

    def __init__(self, request: Request, keep: Callable[[str], None]) -> None:
        self._request = request
        self._keep = keep
        self._completion: list[str] = []
        self._reasoning: list[str] = []

    def took(self, completion: Completion) -> None:
        # Embeddings have no choices.
        for choice in completion.choices[:1]:
            self.saw(choice.message.content, choice.message.reasoning)

    def saw(self, content: str | UnsetType | None, reasoning: str | UnsetType | None) -> None:
        if content:
            self._completion.append(content)
        if reasoning:
            self._reasoning.append(reasoning)

    def end(self, error: str) -> None:
        fields = self._request.fields
        asked = {name: fields[name] for name in ("prompt", "messages") if name in fields}
        if self._request.embedding is not None:
            # The reference has no other word for it.
            asked["prompt"] = fields["input"]
        told = {"completion": "".join(self._completion), "reasoning": "".join(self._reasoning) or None}
        whole: dict[str, object] = {"input": asked, "output": told}
        if error:
            whole["error"] = {"message": error}
        content = msgspec.json.encode(whole)
        if len(content) <= MOST_BYTES:
            self._keep(content.decode())
