"""How large a request can be, from its bytes: no tokenizer on this path.

UTF-8 bytes ÷ 2 bounds the tokens of text: English has about 4 bytes a token, the densest scripts about 2. What exceeds
the bound all the same is an overrun, which settlement handles.
"""

from msgspec import Struct

from providers.canonical import Part, Request
from providers.pricing import NO_UNITS, Units

BYTES_PER_TOKEN = 2
TEXT = ("messages", "tools", "response_format", "input")
# The chat template around a message, and around the conversation.
TOKENS_PER_MESSAGE = 8
TOKENS_PER_REQUEST = 16
# No vendor counts one image higher at its default detail; its base64 does not count as text.
TOKENS_PER_IMAGE = 3000
# Base64 characters a token: speech at 32 kbit/s, a page of a document in 25 kB, video at 1 Mbit/s.
AUDIO_CHARACTERS = 150
FILE_CHARACTERS = 12
VIDEO_CHARACTERS = 500
# What is fetched from a URL: nobody knows its size before.
TOKENS_PER_URL = 20_000
MODALITIES = {
    "image_url": "image",
    "input_audio": "audio",
    "file": "file",
    "video_url": "video",
    "input_video": "video",
}
# Of an answer that may draw or search; what it does beyond is an overrun, too.
OUTPUT_IMAGES = 4
SEARCHES = 5
NOTHING: frozenset[str] = frozenset()


class Size(Struct, frozen=True):
    """Tokens: at most in the prompt, asked for at most in the answer (None: no limit), and answers wanted."""

    prompt: int
    output_limit: int | None
    answers: int
    inputs: frozenset[str] = NOTHING
    """What the prompt holds besides text, as `input_modalities` names it."""
    units: Units = NO_UNITS
    """What can be charged beside tokens."""
    media: int = 0
    """Images, files, audio and videos of the prompt."""
    audio: int = 0

    @property
    def expected_prompt(self) -> int:
        """Of English text half of the bound: for what must not refuse a request that would have fitted."""
        return self.prompt // 2


def size(request: Request) -> Size:
    text = sum(len(memoryview(request.fields[name])) for name in TEXT if name in request.fields)
    other = images = media = audio = 0
    inputs = NOTHING
    for message in request.chat.messages:
        if not isinstance(message.content, list):
            continue
        for part in message.content:
            if modality := MODALITIES.get(part.type):
                tokens, characters = measured(part)
                other += tokens
                text -= characters
                inputs |= {modality}
                images += modality == "image"
                audio += modality == "audio"
                media += 1
    prompt = text // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.chat.messages) + TOKENS_PER_REQUEST
    answers = 0 if request.embedding else request.chat.n or 1
    return Size(prompt + other, request.chat.output_limit, answers, inputs, units(request, images), media, audio)


def units(request: Request, images: int) -> Units:
    chat = request.chat
    drawn = OUTPUT_IMAGES * (chat.n or 1) if chat.modalities and "image" in chat.modalities else 0
    searches = SEARCHES if "web_search_options" in request.fields else 0
    return Units(images, drawn, searches) if images or drawn or searches else NO_UNITS


def measured(part: Part) -> tuple[int, int]:
    """The most tokens of a part that is not text, and the characters of the body that are its content."""
    if part.image_url is not None:
        return TOKENS_PER_IMAGE, len(part.image_url.url)
    if part.input_audio is not None and part.input_audio.data:
        return len(part.input_audio.data) // AUDIO_CHARACTERS, len(part.input_audio.data)
    if part.file is not None and part.file.file_data:
        return weighed(part.file.file_data, FILE_CHARACTERS)
    if part.video_url is not None:
        return weighed(part.video_url.url, VIDEO_CHARACTERS)
    return TOKENS_PER_URL, 0


def weighed(content: str, characters_per_token: int) -> tuple[int, int]:
    """A URL, or the content itself in a data: URL."""
    if not content.startswith("data:"):
        return TOKENS_PER_URL, len(content)
    if content.startswith("data:text/"):
        return len(content) // BYTES_PER_TOKEN, len(content)
    return len(content) // characters_per_token, len(content)
