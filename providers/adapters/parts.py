"""What wires of other families than OpenAI's need of a conversation: its parts, calls and reasoning."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, structs

from providers import surrogates
from providers.adapters.base import unsupported
from providers.canonical import ChatRequest, EmbeddingRequest, Message, Part, ReasoningDetail, ToolCall, ToolChoice

DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(;base64)?,", re.ASCII)
SUFFIXES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
}
# A tool's name is a call's.
SPEAKERS = frozenset({"user", "assistant", "system", "developer"})
EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')

encode = msgspec.json.Encoder().encode
decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Media(Struct, frozen=True):
    """Either base64 data with its type, or a URL."""

    mime: str
    data: str = ""
    url: str = ""

    @property
    def subtype(self) -> str:
        return self.mime.partition("/")[2]


def media_of(part: Part) -> Media:
    """Of a part that is not text. Raises UpstreamError for what nobody can send."""
    match part.type:
        case "image_url" if part.image_url:
            return media(part.image_url.url, "image/png")
        case "video_url" | "input_video" if part.video_url:
            return media(part.video_url.url, "video/mp4")
        case "input_audio" if part.input_audio and part.input_audio.data:
            return Media(f"audio/{part.input_audio.format or 'wav'}", part.input_audio.data)
        case "file" if part.file and part.file.file_data:
            return media(part.file.file_data, "application/pdf")
        case _:
            raise unsupported(f"this provider takes no part of the type {part.type}")


def media(url: str, otherwise: str) -> Media:
    found = DATA_URL.match(url)
    if found is None:
        suffix = url.partition("?")[0].rpartition(".")[2].lower()
        return Media(SUFFIXES.get(suffix, otherwise), url=url)
    if not found[2]:
        raise unsupported("this provider takes data: URLs in base64 only")
    return Media(found[1] or otherwise, url[found.end() :])


def parts_of(message: Message) -> Iterator[Part]:
    """Without empty texts, which vendors refuse; who speaks, where the client says it, stands before the first."""
    content = message.content
    name = f"{message.name}: " if message.name and message.role in SPEAKERS else ""
    if isinstance(content, str):
        if content:
            yield Part("text", name + content)
        return
    for part in content or []:
        if part.type != "text":
            yield part
        elif part.text:
            yield structs.replace(part, text=name + part.text) if name else part
            name = ""


def text_of(message: Message) -> str:
    return "\n".join(part.text or part.refusal or "" for part in parts_of(message))


def is_instruction(message: Message) -> bool:
    return message.role in ("system", "developer")


def object_of(text: str, *, otherwise: str) -> Raw:
    """The JSON object that the text is, or one that holds it under this name."""
    json = surrogates.replaced(text.encode())
    try:
        decode_object(json)
    except (msgspec.DecodeError, RecursionError):
        return Raw(encode({otherwise: text}))
    return Raw(json)


def arguments_of(call: ToolCall) -> Raw:
    """Models write broken ones at times, and clients send them back."""
    return object_of(call.function.arguments.strip() or "{}", otherwise="arguments")


def details_of(message: Message, *formats: str) -> list[ReasoningDetail]:
    """Reasoning that came from a provider of these formats, its streamed fragments put together."""
    found: list[ReasoningDetail] = []
    for detail in message.reasoning_details or []:
        if detail.format not in formats:
            continue
        last = found[-1] if found else None
        if last and last.type == detail.type and isinstance(detail.index, int) and last.index == detail.index:
            last.text = (last.text or "") + (detail.text or "") or UNSET
            last.summary = (last.summary or "") + (detail.summary or "") or UNSET
            last.data = (last.data or "") + (detail.data or "") or UNSET
            last.signature = detail.signature or last.signature
            last.id = detail.id or last.id
        else:
            found.append(msgspec.structs.replace(detail))
    return found


def take_turn(turns: list[dict[str, Any]], role: str, member: str, said: list[dict[str, Any]]) -> None:
    """What follows one another in the same role is one turn."""
    if turns and turns[-1]["role"] == role:
        turns[-1][member] += said
    elif said:
        turns.append({"role": role, member: said})


def forced(choice: str | ToolChoice | None) -> str | None:
    """The name of the one tool that must be called."""
    return choice.function.name if isinstance(choice, ToolChoice) and choice.function else None


def stops(chat: ChatRequest) -> list[str]:
    given = [chat.stop] if isinstance(chat.stop, str) else chat.stop or []
    return [stop for stop in given if stop]


def schema_of(chat: ChatRequest) -> Raw | None:
    """The schema of the answer, if one is asked for."""
    wanted = chat.response_format
    if wanted is None or wanted.type != "json_schema" or wanted.json_schema is None:
        return None
    schema = wanted.json_schema.schema
    return None if schema is None else Raw(encode(schema))


def is_json(chat: ChatRequest) -> bool:
    return chat.response_format is not None and chat.response_format.type in ("json_object", "json_schema")


def as_instruction(chat: ChatRequest) -> str:
    """For models that have no other way to be told to answer in JSON."""
    schema = schema_of(chat)
    asked = "Answer with one JSON object and nothing else: no prose, no code fence."
    return asked if schema is None else f"{asked} It must fit this JSON schema: {bytes(schema).decode()}"


def structured(chat: ChatRequest, supported: frozenset[str]) -> bool:
    """Whether the answer's schema can be told as such."""
    return schema_of(chat) is not None and takes(supported, "structured_outputs")


def sampling(chat: ChatRequest, supported: frozenset[str], words: Mapping[str, str]) -> dict[str, Any]:
    """What the client says of these parameters, under the wire's words for them."""
    return {
        theirs: value
        for name, theirs in words.items()
        if (value := getattr(chat, name)) is not None and takes(supported, name)
    }


def openai_part(part: Part) -> dict[str, Any]:
    """Of wires that write texts and images as OpenAI's does, and nothing else."""
    if part.type == "text":
        return {"type": "text", "text": part.text}
    if part.type == "image_url" and part.image_url:
        return {"type": "image_url", "image_url": {"url": part.image_url.url}}
    raise unsupported(f"this provider takes no part of the type {part.type}")


def texts_of(request: EmbeddingRequest) -> list[str]:
    if request.texts is None:
        raise unsupported("this provider embeds texts only, no tokens")
    return request.texts


def refuse_other_answers(chat: ChatRequest, *, gives_several: bool = False) -> None:
    """Left out in silence, these would get another answer than was asked for."""
    if chat.n and chat.n > 1 and not gives_several:
        raise unsupported("n: this provider gives one answer to a request")
    if chat.response_format is not None and chat.response_format.type in ("grammar", "python"):
        raise unsupported(f"response_format: this provider knows no {chat.response_format.type}")


def takes(supported: frozenset[str], *names: str) -> bool:
    """Of an endpoint about which nothing is listed everything is expected."""
    return not supported or not supported.isdisjoint(names)
