"""Halves of characters: programs that count in UTF-16 cut a text between the two `\\u` escapes of one character.

JSON may hold such a half, UTF-8 cannot, and our decoder refuses it. Where that happens, and only there, the JSON is
mended and read again: in a stream a half waits for the other one, everywhere else U+FFFD takes its place.
"""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from msgspec import Raw, UnsetType, structs

from providers.canonical import ChunkChoice, Content, Delta, Event, Failure, Native

T = TypeVar("T")

# A whole character, a half, or any other escape: each is taken whole, so that an escaped backslash begins nothing.
ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# Stand-ins of halves, in the last private plane.
PLANE = 0x100000
FIRST = chr(PLANE + 0xD800)
STAND_INS = re.compile("([\U0010d800-\U0010dbff])([\U0010dc00-\U0010dfff])|[\U0010d800-\U0010dfff]")
NOT_LAST = "\U0010dc00"
INSTEAD = "\ufffd"
# Looking at each escape takes time in which nobody else is served.
MOST_BYTES = 4 * 1024 * 1024


def lenient(decode: Callable[[bytes], T], json: bytes) -> T:
    """What `decode` makes of it, halves replaced. Raises what `decode` raises."""
    try:
        return decode(json)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = replaced(json)
        if mended == json:
            raise
    return decode(mended)


def replaced(json: bytes) -> bytes:
    return mended(json, lambda half: b"\\ufffd")


def marked(json: bytes) -> bytes:
    """With stand-ins for halves, which `Halves` joins; broken UTF-8 is replaced."""
    return mended(json.decode(errors="replace").encode(), lambda half: chr(PLANE + int(half, 16)).encode())


def mended(json: bytes, instead: Callable[[bytes], bytes]) -> bytes:
    if len(json) > MOST_BYTES or b"\\u" not in json:
        return json
    return ESCAPES.sub(lambda found: instead(found[1]) if found[1] else found[0], json)


class Halves:
    """Of one stream: each text of it is put together again."""

    def __init__(self) -> None:
        # First halves without the second, by where they stand.
        self._kept: dict[tuple[object, ...], str] = {}
        self._is_marked = False

    def joined(self, events: Iterable[Event], *, is_marked: bool) -> Iterable[Event]:
        """`is_marked`: whether the events may have stand-ins."""
        self._is_marked = is_marked
        return [self._event(event) for event in events]

    def _event(self, event: Event) -> Event:
        if isinstance(event, Content):
            for choice in event.choices:
                self._choice(choice)
        elif isinstance(event, Native) and self._is_marked:
            members = {name: whole_json(one) for name, one in event.members.items()}
            return structs.replace(event, members=members)
        elif isinstance(event, Failure):
            return structs.replace(event, message=whole(event.message), raw=whole(event.raw))
        return event

    def _choice(self, choice: ChunkChoice) -> None:
        delta, index = choice.delta, choice.index
        delta.content = self._text((index, "content"), delta.content)
        delta.reasoning = self._text((index, "reasoning"), delta.reasoning)
        delta.refusal = self._text((index, "refusal"), delta.refusal)
        for call in delta.tool_calls or ():
            call.function.arguments = self._text((index, "call", call.index), call.function.arguments)
        for detail in delta.reasoning_details or ():
            for name in ("text", "summary", "data"):
                place = (index, "detail", detail.index, name)
                setattr(detail, name, self._text(place, getattr(detail, name)))
        if self._is_marked:
            self._rest(choice, delta)
        if choice.finish_reason is not None and self._kept.pop((index, "content"), ""):
            delta.content = (delta.content or "") + INSTEAD

    def _text(self, place: tuple[object, ...], text: str | UnsetType | None) -> str | UnsetType | None:
        if not text:
            return text
        before = self._kept.pop(place, "")
        if not self._is_marked:
            return INSTEAD + text if before else text
        text = before + text
        if FIRST <= text[-1] < NOT_LAST:
            self._kept[place] = text[-1]
            text = text[:-1]
        return whole(text)

    def _rest(self, choice: ChunkChoice, delta: Delta) -> None:
        """What is passed on as JSON has no pieces that belong together."""
        choice.logprobs = whole_json(choice.logprobs)
        for name in ("images", "annotations"):
            if found := getattr(delta, name):
                setattr(delta, name, [whole_json(one) for one in found])
        if delta.audio:
            delta.audio = {name: whole_json(one) for name, one in delta.audio.items()}


def whole(text: str) -> str:
    return STAND_INS.sub(character, text)


def whole_json(raw: Raw) -> Raw:
    return Raw(whole(bytes(raw).decode()).encode())


def character(found: re.Match[str]) -> str:
    if not found[1]:
        return INSTEAD
    return chr(0x10000 + ((ord(found[1]) - PLANE - 0xD800) << 10) + (ord(found[2]) - PLANE - 0xDC00))
