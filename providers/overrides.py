"""Prices that hold under conditions: of the prompt's length, of the clock (reference §1.3)."""

from msgspec import Struct

OVERRIDABLE = (
    "prompt",
    "completion",
    "audio",
    "input_audio_cache",
    "input_cache_read",
    "input_cache_write",
    "input_cache_write_1h",
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SECONDS_PER_DAY = 86_400
# 1 January 1970 was a Thursday.
FIRST_DAY = 3


class Override(Struct, frozen=True, omit_defaults=True):
    """Prices that replace those of the row when all its conditions hold; of several, the last has the word.

    More prompt tokens than `min_prompt_tokens`; a moment from `utc_start` until `utc_end`, clock numbers such as 1630,
    which may pass midnight; on one of `utc_days`.
    """

    min_prompt_tokens: int | None = None
    utc_start: int | None = None
    utc_end: int | None = None
    utc_days: tuple[str, ...] | None = None
    prompt: int | None = None
    completion: int | None = None
    audio: int | None = None
    input_audio_cache: int | None = None
    input_cache_read: int | None = None
    input_cache_write: int | None = None
    input_cache_write_1h: int | None = None

    @property
    def above(self) -> int:
        """It is for prompts with more tokens."""
        return -1 if self.min_prompt_tokens is None else self.min_prompt_tokens

    @property
    def is_timed(self) -> bool:
        return self.utc_start is not None or self.utc_days is not None

    def holds_at(self, moment: float) -> bool:
        days, seconds = divmod(int(moment), SECONDS_PER_DAY)
        if self.utc_days is not None and DAYS[(days + FIRST_DAY) % 7] not in self.utc_days:
            return False
        if self.utc_start is None or self.utc_end is None:
            return True
        clock = seconds // 3600 * 100 + seconds % 3600 // 60
        if self.utc_start < self.utc_end:
            return self.utc_start <= clock < self.utc_end
        return clock >= self.utc_start or clock < self.utc_end

    @property
    def amounts(self) -> dict[str, int]:
        return {name: amount for name in OVERRIDABLE if (amount := getattr(self, name)) is not None}
