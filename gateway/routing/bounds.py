"""How large a request can be, from its bytes: no tokenizer on this path.

UTF-8 bytes ÷ 2 bounds the tokens of text: English has about 4 bytes a token, the densest scripts about 2. What exceeds
the bound all the same is an overrun, which settlement handles.
"""

from msgspec import Struct

from providers.canonical import Request

BYTES_PER_TOKEN = 2
TEXT = ("messages", "tools", "response_format")
# The chat template around a message, and around the conversation.
TOKENS_PER_MESSAGE = 8
TOKENS_PER_REQUEST = 16
# No vendor counts one image higher at its default detail; its base64 does not count as text.
TOKENS_PER_IMAGE = 3000
# What an answer is expected to have when the client sets no limit, for comparing prices only.
EXPECTED_COMPLETION = 512


class Size(Struct, frozen=True):
    """Tokens: at most in the prompt, asked for at most in the answer (None: no limit), and answers wanted."""

    prompt: int
    output_limit: int | None
    answers: int

    @property
    def expected_prompt(self) -> int:
        """Of English text half of the bound: for what must not refuse a request that would have fitted."""
        return self.prompt // 2


def size(request: Request) -> Size:
    text = sum(len(memoryview(request.fields[name])) for name in TEXT if name in request.fields)
    images = 0
    for message in request.chat.messages:
        if not isinstance(message.content, list):
            continue
        for part in message.content:
            if part.image_url is not None:
                images += 1
                text -= len(part.image_url.url)
    prompt = text // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.chat.messages) + TOKENS_PER_REQUEST
    return Size(prompt + images * TOKENS_PER_IMAGE, request.chat.output_limit, request.chat.n or 1)
