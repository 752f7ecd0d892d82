"""Events and answers, built by wires of other families than OpenAI's."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from providers.canonical import (
    Answer,
    ChunkChoice,
    Content,
    Delta,
    FunctionDelta,
    ReasoningDetail,
    ToolCall,
    ToolCallDelta,
)

encode = msgspec.json.Encoder().encode


def delta(change: Delta, upstream_id: str | None = None) -> Content:
    return Content([ChunkChoice(0, change)], upstream_id)


def text(piece: str) -> Content:
    return Content([ChunkChoice(0, Delta(content=piece))])


def reasoning(piece: str, *details: ReasoningDetail) -> Content:
    return Content([ChunkChoice(0, Delta(content="", reasoning=piece or UNSET, reasoning_details=list(details)))])


def reasoning_text(piece: str) -> Content:
    """Of vendors that do not want it back."""
    return Content([ChunkChoice(0, Delta(content="", reasoning=piece or UNSET))])


def call_begins(index: int, call_id: str, name: str, arguments: str = "") -> Content:
    call = ToolCallDelta(FunctionDelta(name, arguments), call_id, "function", index)
    return Content([ChunkChoice(0, Delta(tool_calls=[call]))])


def call_goes_on(index: int, arguments: str) -> Content:
    return Content([ChunkChoice(0, Delta(tool_calls=[ToolCallDelta(FunctionDelta(arguments=arguments), index=index)]))])


def finish(reason: str, native: str | None) -> Content:
    return Content([ChunkChoice(0, Delta(content=""), finish_reason=reason, native_finish_reason=native)])


def cites(annotations: list[Raw], index: int = 0) -> Content:
    return Content([ChunkChoice(index, Delta(content="", annotations=annotations))])


def url_citation(url: str, title: str | None, *, start: int = 0, end: int = 0, content: str | None = None) -> Raw:
    """As the reference has it (§2.6); start and end are places in the answer's text."""
    cited: dict[str, Any] = {"url": url, "title": title or url}
    if content:
        cited["content"] = content
    return Raw(encode({"type": "url_citation", "url_citation": {**cited, "start_index": start, "end_index": end}}))


def answer(texts: list[str], thoughts: list[str], details: list[ReasoningDetail], calls: list[ToolCall]) -> Answer:
    return Answer(
        content="".join(texts) if texts else None,
        reasoning="".join(thoughts) or None,
        reasoning_details=details or UNSET,
        tool_calls=calls or UNSET,
    )
