"""Items of a Responses input, and the canonical messages that they become."""

from typing import Any, Literal

from msgspec import Struct

from gateway.skins.canonical import bad, missing
from providers.canonical import CacheControl, InputAudio, ReasoningDetail, VideoUrl

OPENAI = "openai-responses-v1"
# What OpenAI itself has put into an answer and wants back; to all others it says nothing.
OWN = frozenset(
    {
        "code_interpreter_call",
        "file_search_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "web_search_call",
    }
)


class Link(Struct, frozen=True):
    url: str


class Part(Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | Link | None = None
    detail: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    input_audio: InputAudio | None = None
    video_url: str | VideoUrl | None = None
    cache_control: CacheControl | None = None


class Thought(Struct, frozen=True):
    text: str
    type: str = ""


class Item(Struct, frozen=True):
    """Members of all kinds in one: each kind is checked where it is read."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[Part] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None
    summary: list[Thought] | None = None
    encrypted_content: str | None = None
    signature: str | None = None
    format: str | None = None


def messages(items: list[Item]) -> list[dict[str, Any]]:
    """Reasoning, text and calls in a row are one turn of the assistant."""
    found: list[dict[str, Any]] = []
    for place, item in enumerate(items):
        at = f"input[{place}]"
        match item.type:
            case "message":
                said(item, at, found)
            case "reasoning":
                turn = turn_of(found, is_open_to=("content", "tool_calls"))
                details = turn.setdefault("reasoning_details", [])
                details += thoughts(item, len(details))
            case "function_call":
                turn_of(found).setdefault("tool_calls", []).append(call(item, at))
            case "function_call_output":
                found.append(result(item, at))
            case _ if item.type not in OWN:
                raise bad(f"{at}.type", f"{item.type!r} is not supported here.")
    return found


def turn_of(found: list[dict[str, Any]], is_open_to: tuple[str, ...] = ()) -> dict[str, Any]:
    """The assistant's turn that goes on, or a new one where it has one of these members already."""
    last = found[-1] if found else {}
    if last.get("role") == "assistant" and not any(last.get(name) for name in is_open_to):
        return last
    found.append({"role": "assistant", "content": None})
    return found[-1]


def said(item: Item, at: str, found: list[dict[str, Any]]) -> None:
    if item.role is None:
        raise missing(f"{at}.role")
    if item.content is None:
        raise missing(f"{at}.content")
    if item.role != "assistant":
        found.append({"role": item.role, "content": content(item.content, f"{at}.content")})
        return
    turn = turn_of(found, is_open_to=("content", "tool_calls", "refusal"))
    refusals = [part.refusal for part in item.content if not isinstance(part, str) and part.refusal]
    if refusals:
        turn["refusal"] = "".join(refusals)
    else:
        turn["content"] = content(item.content, f"{at}.content")


def call(item: Item, at: str) -> dict[str, Any]:
    for name in ("call_id", "name", "arguments"):
        if getattr(item, name) is None:
            raise missing(f"{at}.{name}")
    return {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}


def result(item: Item, at: str) -> dict[str, Any]:
    if item.call_id is None:
        raise missing(f"{at}.call_id")
    if item.output is None:
        raise missing(f"{at}.output")
    return {"role": "tool", "tool_call_id": item.call_id, "content": content(item.output, f"{at}.output")}


def thoughts(item: Item, index: int) -> list[ReasoningDetail]:
    """The way back from `answer.reasoning`."""
    known = item.format or (OPENAI if item.encrypted_content else None)
    more: dict[str, Any] = {"format": known, "id": item.id if known == OPENAI else None}
    found = [ReasoningDetail("reasoning.summary", summary=one.text, **more) for one in item.summary or ()]
    for part in item.content if isinstance(item.content, list) else ():
        found.append(ReasoningDetail("reasoning.text", text=part.text or "", signature=item.signature, **more))
    if item.encrypted_content:
        found.append(ReasoningDetail("reasoning.encrypted", data=item.encrypted_content, **more))
    for place, detail in enumerate(found, index):
        detail.index = place
    return found


def content(given: str | list[Part], at: str) -> str | list[dict[str, Any]]:
    """One plain text stays a string, which every provider takes."""
    if isinstance(given, str):
        return given
    if len(given) == 1 and given[0].text is not None and given[0].cache_control is None:
        return given[0].text
    return [canonical(part, f"{at}[{place}]") for place, part in enumerate(given)]


def canonical(part: Part, at: str) -> dict[str, Any]:
    cached = {"cache_control": part.cache_control} if part.cache_control else {}
    match part.type:
        case "input_text" | "output_text" | "text":
            if part.text is None:
                raise missing(f"{at}.text")
            return {"type": "text", "text": part.text, **cached}
        case "input_image":
            url = part.image_url.url if isinstance(part.image_url, Link) else part.image_url
            if url is None:
                raise missing(f"{at}.image_url")
            return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}
        case "input_file":
            members = {"filename": part.filename, "file_data": part.file_data or part.file_url, "file_id": part.file_id}
            return {"type": "file", "file": {name: value for name, value in members.items() if value}}
        case "input_audio" if part.input_audio is not None:
            return {"type": "input_audio", "input_audio": part.input_audio}
        case "input_video" if part.video_url is not None:
            video = part.video_url if isinstance(part.video_url, VideoUrl) else {"url": part.video_url}
            return {"type": "video_url", "video_url": video}
    raise bad(f"{at}.type", f"{part.type!r} is not supported here, or lacks its content.")
