"""What tokens cost. Prices are pico-USD (1e-12) a token or unit, amounts nano-USD (1e-9): integers, rounded half up."""

from functools import cached_property

import msgspec
from msgspec import Struct

from providers.canonical import Usage
from providers.overrides import Override
from providers.rates import AMOUNTS, MILLION, Rates, mixed_completion, mixed_prompt, part, rates_of

PICO_PER_NANO = 1000


class Units(Struct, frozen=True):
    """What a request can count beside tokens, at most."""

    images: int = 0
    output_images: int = 0
    searches: int = 0


NO_UNITS = Units()


class Step(Struct, frozen=True):
    """The rates of prompts with more tokens than `above`, and the dearest of these and of all shorter prompts."""

    above: int
    rates: Rates
    dearest_prompt: int
    dearest_completion: int


class Price(Struct, frozen=True, dict=True):
    """A price row, or what a customer pays instead. None is "not charged apart": it then costs what its whole does.

    Amounts are before the discount (millionths), as they are published.
    """

    id: int
    prompt: int
    completion: int
    request: int | None = None
    image: int | None = None
    image_token: int | None = None
    image_output: int | None = None
    image_output_token: int | None = None
    audio: int | None = None
    audio_output: int | None = None
    input_audio_cache: int | None = None
    web_search: int | None = None
    internal_reasoning: int | None = None
    input_cache_read: int | None = None
    input_cache_write: int | None = None
    input_cache_write_1h: int | None = None
    discount: int = 0
    overrides: tuple[Override, ...] = ()
    listed: "Price | None" = None
    """What the provider asks, where the customer pays something else."""

    # What a request costs

    def amount(self, usage: Usage) -> int:
        """nano-USD, rounded once, half up."""
        return nano(self.prompt_part(usage) + self.completion_part(usage))

    def cost(self, usage: Usage) -> int:
        """What the provider asks for it: nano-USD."""
        return (self.listed or self).amount(usage)

    def prompt_part(self, usage: Usage) -> int:
        """pico-USD; fees for the request, its images and searches included."""
        steps = self.steps
        rates = (steps[0] if len(steps) == 1 else self._step(usage.prompt)).rates
        if usage.details is not None:
            return mixed_prompt(rates, usage, usage.details)
        prompt, cached, written = usage.prompt, usage.cached, usage.cache_write
        if not cached and not written:
            return prompt * rates.prompt + rates.request
        # Parts beyond their whole are a vendor's slip, and must not make a negative rest.
        cached = cached if cached < prompt else prompt
        written = written if written < prompt - cached else prompt - cached
        plain = prompt - cached - written
        return plain * rates.prompt + cached * rates.cache_read + written * rates.cache_write + rates.request

    def completion_part(self, usage: Usage) -> int:
        """pico-USD; images included."""
        steps = self.steps
        rates = (steps[0] if len(steps) == 1 else self._step(usage.prompt)).rates
        if usage.details is not None:
            return mixed_completion(rates, usage, usage.details)
        completion, reasoning = usage.completion, usage.reasoning
        if not reasoning:
            return completion * rates.completion
        reasoning = reasoning if reasoning < completion else completion
        return (completion - reasoning) * rates.completion + reasoning * rates.reasoning

    def bound(self, prompt_tokens: int, completion_tokens: int, units: Units = NO_UNITS) -> int:
        """The most that a request of this size can cost: nano-USD, rounded up."""
        step = self._step(prompt_tokens)
        rates = step.rates
        total = prompt_tokens * step.dearest_prompt + completion_tokens * step.dearest_completion + rates.request
        if units is not NO_UNITS:
            total += units.images * rates.image + units.output_images * rates.image_output
            total += units.searches * rates.search
        return -(-total // PICO_PER_NANO)

    def affordable_completion(self, amount: int, prompt_tokens: int, units: Units = NO_UNITS) -> int | None:
        """How many completion tokens fit into `amount` beside the prompt; None is any number, negative none."""
        rest = amount - self.bound(prompt_tokens, 0, units)
        if rest < 0:
            return -1
        completion = self._step(prompt_tokens).dearest_completion
        return rest * PICO_PER_NANO // completion if completion else None

    def expected(self, prompt_tokens: int, completion_tokens: float) -> float:
        """For comparing endpoints: pico-USD of plain text."""
        prompt, completion, request = self.flat or plain(self._step(prompt_tokens).rates)
        return prompt_tokens * prompt + completion_tokens * completion + request

    @cached_property
    def flat(self) -> tuple[int, int, int] | None:
        """A token of prompt, one of completion, a request: None where the prompt's length makes a difference."""
        return plain(self.steps[0].rates) if len(self.steps) == 1 else None

    @cached_property
    def is_free(self) -> bool:
        return not any(any(msgspec.structs.astuple(step.rates)) for step in self.steps)

    # Whose and when

    def marked_up(self, markup: int) -> "Price":
        """What a customer pays with a markup in millionths."""
        if markup == 0:
            return self
        amounts = {name: part(amount, MILLION + markup) for name, amount in self._amounts().items()}
        overrides = tuple(
            msgspec.structs.replace(
                override, **{name: part(amount, MILLION + markup) for name, amount in override.amounts.items()}
            )
            for override in self.overrides
        )
        return msgspec.structs.replace(self, **amounts, overrides=overrides, listed=self)

    def at(self, moment: float) -> "Price":
        """With the prices of the clock that hold then (seconds since 1970)."""
        if not self.is_timed:
            return self
        holding = tuple(override.holds_at(moment) for override in self.overrides)
        found = self._kept.get(holding)
        if found is None:
            overrides = tuple(
                msgspec.structs.replace(override, utc_start=None, utc_end=None, utc_days=None)
                for override, holds in zip(self.overrides, holding, strict=True)
                if holds
            )
            listed = self.listed and self.listed.at(moment)
            found = self._kept[holding] = msgspec.structs.replace(self, overrides=overrides, listed=listed)
        return found

    @cached_property
    def is_timed(self) -> bool:
        return any(override.is_timed for override in self.overrides)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """By the prompt's length, ascending. Prices of the clock are in it when `at` has found that they hold."""
        overrides = [override for override in self.overrides if not override.is_timed]
        steps: list[Step] = []
        for above in sorted({-1, *(override.above for override in overrides)}):
            amounts = self._amounts()
            for override in overrides:
                if override.above <= above:
                    amounts |= override.amounts
            rates = rates_of(amounts, self.discount)
            prompt, completion = rates.dearest_prompt, rates.dearest_completion
            if steps:
                prompt = max(prompt, steps[-1].dearest_prompt)
                completion = max(completion, steps[-1].dearest_completion)
            steps.append(Step(above, rates, prompt, completion))
        return tuple(steps)

    def _step(self, prompt_tokens: int) -> Step:
        steps = self.steps
        found = steps[0]
        if len(steps) > 1:
            for step in steps:
                if prompt_tokens <= step.above:
                    break
                found = step
        return found

    def _amounts(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in AMOUNTS}

    @cached_property
    def _kept(self) -> dict[tuple[bool, ...], "Price"]:
        return {}


def plain(rates: Rates) -> tuple[int, int, int]:
    return rates.prompt, rates.completion, rates.request


def nano(pico: int) -> int:
    return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO
