"""Blocks of Messages content, and the canonical parts that they become."""

from typing import Any

from msgspec import Raw, Struct

from gateway.errors import ApiError
from gateway.skins.canonical import bad, missing
from providers.canonical import CacheControl


class Source(Struct, frozen=True):
    """Of an image or a document."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: "str | list[Block] | None" = None


class Block(Struct, frozen=True):
    """Members of all kinds in one: each kind is checked where it is read."""

    type: str
    text: str | None = None
    source: Source | str | None = None
    title: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Raw] | None = None
    tool_use_id: str | None = None
    # An object in what Anthropic's own tools answer.
    content: "str | list[Block] | Block | None" = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: CacheControl | None = None


Content = str | list[Block]
# What Anthropic itself has put into an answer and wants back; to all others it says nothing.
OWN = ("server_tool_use", "mcp_tool_use", "container_upload", "compaction")


def is_own(block: Block) -> bool:
    return block.type in OWN or block.type.endswith("_tool_result")


def text_or_parts(content: Content, at: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return parts([(block, f"{at}[{place}]") for place, block in enumerate(content)])


def parts(blocks: list[tuple[Block, str]]) -> str | list[dict[str, Any]]:
    """One plain text stays a string, which every provider takes."""
    if len(blocks) == 1 and blocks[0][0].type == "text" and blocks[0][0].cache_control is None:
        return required_text(*blocks[0])
    return [part for block, at in blocks for part in canonical(block, at)]


def canonical(block: Block, at: str) -> list[dict[str, Any]]:
    cached = {"cache_control": block.cache_control} if block.cache_control else {}
    match block.type:
        case "text":
            return [{"type": "text", "text": required_text(block, at), **cached}]
        case "image":
            return [{"type": "image_url", "image_url": {"url": image(block, at)}, **cached}]
        case "document":
            return [part | cached for part in document(block, at)]
        case "search_result" if isinstance(block.content, list):
            inner = [(one, f"{at}.content[{place}]") for place, one in enumerate(block.content)]
            heading = {"type": "text", "text": "\n".join(filter(None, (block.title, source_name(block))))}
            return [heading, *(part for one, where in inner for part in canonical(one, where))]
    raise bad(f"{at}.type", f"{block.type!r} is not supported here.")


def required_text(block: Block, at: str) -> str:
    if block.text is None:
        raise missing(f"{at}.text")
    return block.text


def source_name(block: Block) -> str | None:
    return block.source if isinstance(block.source, str) else None


def source_of(block: Block, at: str) -> Source:
    if not isinstance(block.source, Source):
        raise missing(f"{at}.source")
    return block.source


def image(block: Block, at: str) -> str:
    source = source_of(block, at)
    if source.type == "url" and source.url is not None:
        return source.url
    if source.type == "base64" and source.data is not None:
        return f"data:{source.media_type or 'image/png'};base64,{source.data}"
    raise incomplete(source, at)


def document(block: Block, at: str) -> list[dict[str, Any]]:
    source = source_of(block, at)
    named = {"filename": block.title} if block.title else {}
    match source:
        case Source(type="base64", data=str(data)):
            url = f"data:{source.media_type or 'application/pdf'};base64,{data}"
            return [{"type": "file", "file": {**named, "file_data": url}}]
        case Source(type="url", url=str(url)):
            return [{"type": "file", "file": {**named, "file_data": url}}]
        case Source(type="file", file_id=str(file_id)):
            return [{"type": "file", "file": {**named, "file_id": file_id}}]
        case Source(type="text", data=str(text)) | Source(type="content", content=str(text)):
            return [{"type": "text", "text": f"{block.title}\n{text}" if block.title else text}]
        case Source(type="content", content=list(blocks)):
            return [
                part for place, one in enumerate(blocks) for part in canonical(one, f"{at}.source.content[{place}]")
            ]
    raise incomplete(source, at)


def incomplete(source: Source, at: str) -> ApiError:
    if source.type not in ("base64", "url", "file", "text", "content"):
        return bad(f"{at}.source.type", f"{source.type!r} is not supported here.")
    member = {"url": "url", "file": "file_id", "content": "content"}.get(source.type, "data")
    return missing(f"{at}.source.{member}")


def tool_result(block: Block, at: str) -> dict[str, Any]:
    if block.tool_use_id is None:
        raise missing(f"{at}.tool_use_id")
    if isinstance(block.content, Block):
        raise bad(f"{at}.content", "it must be a text or a list of blocks.")
    content = text_or_parts(block.content, f"{at}.content") if block.content else ""
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}
