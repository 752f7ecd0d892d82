"""Reasoning of any provider through skins that have room for one signature: what does not fit is carried inside it."""

import base64
import binascii

import msgspec

from gateway.skins.blocks import Block, given
from providers.canonical import ReasoningDetail

ANTHROPIC = "anthropic-claude-v1"
UNKNOWN = "unknown"
MARK = "turnpike."

decode_detail = msgspec.json.Decoder(ReasoningDetail).decode


def signature(block: Block) -> str:
    """Of a block with text: Anthropic's own as it is, with anybody else's all that must come back beside the text."""
    detail = block.detail
    if detail is None:
        return ""
    own = given(detail.signature) or ""
    if detail.type == "reasoning.text" and given(detail.format) in (None, ANTHROPIC, UNKNOWN):
        return own
    return carried(msgspec.structs.replace(detail, text=msgspec.UNSET, summary=msgspec.UNSET))


def sealed(block: Block) -> str:
    """The data of an encrypted block."""
    detail = block.detail
    if detail is None:
        return ""
    if given(detail.format) in (None, ANTHROPIC):
        return given(detail.data) or ""
    return carried(detail)


def carried(detail: ReasoningDetail) -> str:
    return MARK + base64.b64encode(msgspec.json.encode(detail)).decode()


def uncarried(text: str) -> ReasoningDetail | None:
    """None when the text is a provider's own."""
    if not text.startswith(MARK):
        return None
    try:
        return decode_detail(base64.b64decode(text.removeprefix(MARK), validate=True))
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError):
        return None


def of_thinking(text: str, signed: str, index: int) -> ReasoningDetail:
    """The way back from `signature`."""
    detail = uncarried(signed)
    if detail is None:
        known = ANTHROPIC if signed else UNKNOWN
        return ReasoningDetail("reasoning.text", text=text, signature=signed or None, format=known, index=index)
    detail.index = index
    if detail.type == "reasoning.summary":
        detail.summary = text
    else:
        detail.text = text
    return detail


def of_sealed(data: str, index: int) -> ReasoningDetail:
    """The way back from `sealed`."""
    detail = uncarried(data) or ReasoningDetail("reasoning.encrypted", data=data, format=ANTHROPIC)
    detail.index = index
    return detail
