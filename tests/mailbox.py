"""An SMTP server, and what it has taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any

from aiosmtpd.controller import Controller

from gateway.local.configuration import bind
from tests.waiting import until


class Mailbox:
    """Plain texts by recipient."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content)
        payload = message.get_payload(decode=True)
        assert isinstance(payload, bytes)
        self.texts.append((envelope.rcpt_tos[0], payload.decode()))
        return "250 OK"

    def last_to(self, recipient: str) -> str:
        """Mail is sent by a task, so it comes a moment later."""
        return until(lambda: [text for to, text in self.texts if to == recipient], 30, f"mail to {recipient}")[-1]


@contextmanager
def running() -> Iterator[tuple[Mailbox, int]]:
    """With its port."""
    box = Mailbox()
    # aiosmtpd calls itself at the port it was given, so 0 would not do.
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()
