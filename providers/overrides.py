"""Prices that hold under conditions: of the prompt's length, of the clock (reference §1.3)."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert, to_builtins

from providers.dollars import dollars, pico

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


Count = Annotated[int, Meta(ge=0)]


class Override(Struct, frozen=True, omit_defaults=True):
    """Prices that replace those of the row when all its conditions hold; of several, the last has the word.

    More prompt tokens than `min_prompt_tokens`; a moment from `utc_start` until `utc_end`, clock numbers such as 1630,
    which may pass midnight; on one of `utc_days`.
    """

    min_prompt_tokens: Count | None = None
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

    def published(self) -> dict[str, Any]:
        """As the API writes it: prices in USD."""
        conditions = {name: value for name, value in to_builtins(self).items() if name not in OVERRIDABLE}
        return conditions | {name: dollars(amount) for name, amount in self.amounts.items()}

    @property
    def amounts(self) -> dict[str, int]:
        return {name: amount for name in OVERRIDABLE if (amount := getattr(self, name)) is not None}


def published(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What price rows keep, as people and files write it: prices in USD."""
    return [{name: _shown(name, value) for name, value in row.items()} for row in rows]


def _shown(name: str, value: Any) -> Any:
    return dollars(value) if name in OVERRIDABLE and isinstance(value, int) else value


def read(rows: object) -> list[dict[str, Any]]:
    """The way back from `published`, as price rows keep it. Raises ValueError with a reason."""
    if not isinstance(rows, list):
        raise ValueError("must be a list")
    return [_read(row) for row in rows]


def _read(row: object) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError("each must be an object")
    if unknown := row.keys() - set(Override.__struct_fields__):
        raise ValueError(f"{', '.join(sorted(unknown))}: not known")
    amounts = {name: pico(str(row[name])) for name in OVERRIDABLE if name in row}
    try:
        found: dict[str, Any] = to_builtins(convert({**row, **amounts}, Override))
    except ValidationError as error:
        raise ValueError(str(error)) from None
    days = found.get("utc_days", DAYS[:1])
    if not days or not set(days) <= set(DAYS):
        raise ValueError(f"utc_days must be of {', '.join(DAYS)}")
    reason = clock_misfit(found.get("utc_start")) or clock_misfit(found.get("utc_end")) or override_misfit(found)
    if reason:
        raise ValueError(reason)
    return found


def clock_misfit(clock: int | None) -> str | None:
    if clock is None or (0 <= clock < 2400 and clock % 100 < 60):
        return None
    return "must be a clock number from 0 to 2359, such as 1630"


def override_misfit(given: Mapping[str, object]) -> str | None:
    """What makes no sense together."""
    if not given.keys() & set(OVERRIDABLE):
        return "has no price"
    if ("utc_start" in given) != ("utc_end" in given):
        return "needs utc_start and utc_end together"
    if "utc_start" in given and given["utc_start"] == given["utc_end"]:
        return "has a window that is never open"
    if not given.keys() & {"min_prompt_tokens", "utc_start", "utc_days"}:
        return "has no condition"
    return None
