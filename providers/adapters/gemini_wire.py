"""What the wire `gemini` answers with, in Google's words."""

from msgspec import Raw, Struct

from providers.adapters.errors import Detail
from providers.canonical import NULL, Details, Usage

EMPTY = Raw(b"{}")
NO_DETAILS = Details()


class Call(Struct, frozen=True):
    name: str = ""
    args: Raw = EMPTY
    id: str | None = None


class Blob(Struct, frozen=True, rename="camel"):
    data: str = ""
    mime_type: str = "image/png"


class Part(Struct, frozen=True, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None


class Parts(Struct, frozen=True):
    parts: list[Part] = []


class Source(Struct, frozen=True, rename="camel"):
    uri: str = ""
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


class Sources(Struct, frozen=True, rename="camel"):
    # AI Studio's word, and Vertex's.
    citation_sources: list[Source] = []
    citations: list[Source] = []


class Page(Struct, frozen=True):
    uri: str = ""
    title: str | None = None


class GroundingChunk(Struct, frozen=True):
    web: Page | None = None


class Segment(Struct, frozen=True, rename="camel"):
    start_index: int = 0
    end_index: int = 0


class Support(Struct, frozen=True, rename="camel"):
    segment: Segment = Segment()
    grounding_chunk_indices: list[int] = []


class Grounding(Struct, frozen=True, rename="camel"):
    grounding_chunks: list[GroundingChunk] = []
    grounding_supports: list[Support] = []


class Token(Struct, frozen=True, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class Tokens(Struct, frozen=True):
    candidates: list[Token] = []


class LogprobsResult(Struct, frozen=True, rename="camel"):
    chosen_candidates: list[Token] = []
    top_candidates: list[Tokens] = []


class Candidate(Struct, frozen=True, rename="camel"):
    content: Parts = Parts()
    # Decoded apart: a slip in them must not cost the client its answer.
    citation_metadata: Raw = NULL
    grounding_metadata: Raw = NULL
    logprobs_result: Raw = NULL
    finish_reason: str | None = None
    index: int = 0


class Counted(Struct, frozen=True, rename="camel"):
    modality: str = ""
    token_count: int = 0


class WireUsage(Struct, frozen=True, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[Counted] | None = None
    candidates_tokens_details: list[Counted] | None = None
    cache_tokens_details: list[Counted] | None = None
    tool_use_prompt_tokens_details: list[Counted] | None = None

    def canonical(self) -> Usage | None:
        """Thoughts are counted beside the candidates, cached content in the prompt."""
        if self.prompt_token_count is None and self.candidates_token_count is None:
            return None
        prompt = max(self.prompt_token_count or 0, 0) + max(self.tool_use_prompt_token_count or 0, 0)
        thoughts = max(self.thoughts_token_count or 0, 0)
        cached = min(max(self.cached_content_token_count or 0, 0), prompt)
        completion = max(self.candidates_token_count or 0, 0) + thoughts
        return Usage(prompt, completion, cached, 0, thoughts, details=self.details())

    def details(self) -> Details | None:
        """Of modalities that may have a price of their own."""
        prompts = (self.prompt_tokens_details, self.tool_use_prompt_tokens_details)
        audio, cached_audio = counted("AUDIO", *prompts), counted("AUDIO", self.cache_tokens_details)
        images = max(counted("IMAGE", *prompts) - counted("IMAGE", self.cache_tokens_details), 0)
        found = Details(
            audio=audio,
            cached_audio=min(cached_audio, audio),
            image_tokens=images,
            output_audio=counted("AUDIO", self.candidates_tokens_details),
            output_image_tokens=counted("IMAGE", self.candidates_tokens_details),
        )
        return None if found == NO_DETAILS else found


def counted(modality: str, *lists: list[Counted] | None) -> int:
    return sum(max(one.token_count, 0) for found in lists if found for one in found if one.modality == modality)


class Feedback(Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class WireAnswer(Struct, frozen=True, rename="camel"):
    candidates: list[Candidate] = []
    usage_metadata: WireUsage = WireUsage()
    prompt_feedback: Feedback = Feedback()
    response_id: str | None = None
    error: Detail | None = None
