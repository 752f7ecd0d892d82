"""Prices: pico-USD a token to nano-USD, rounded once."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.canonical import Details, Usage
from providers.dollars import PICO, dollars, pico
from providers.overrides import OVERRIDABLE, Override
from providers.pricing import Price, Units, nano
from providers.rates import AMOUNTS, MILLION, part

amounts = st.integers(0, 10**11)
maybe = st.none() | amounts
tokens = st.integers(0, 10**7)
few = st.integers(0, 5)
tiers = st.builds(
    Override,
    min_prompt_tokens=st.none() | st.integers(1, 3 * 10**7),
    **dict.fromkeys(OVERRIDABLE, maybe),
)
prices = st.builds(
    Price,
    id=st.just(1),
    prompt=amounts,
    completion=amounts,
    **dict.fromkeys(AMOUNTS[2:], maybe),
    discount=st.integers(0, MILLION),
    overrides=st.lists(tiers, max_size=3).map(tuple),
)
markups = st.integers(-MILLION, 3 * MILLION)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Sound ones, and ones whose parts are more than their whole."""
    parts = [draw(tokens) for _ in range(6)]
    cached_audio, cached, hour, written, audio, images = parts
    prompt = draw(st.just(sum(parts)) | tokens) + draw(tokens)
    spoken, thought, drawn, said = (draw(tokens) for _ in range(4))
    details = Details(
        cache_write_1h=hour,
        audio=audio + cached_audio,
        cached_audio=cached_audio,
        image_tokens=images,
        output_audio=spoken,
        output_image_tokens=drawn,
        images=draw(few),
        output_images=draw(few),
        searches=draw(few),
    )
    return Usage(
        prompt=prompt,
        completion=spoken + thought + drawn + said if draw(st.booleans()) else said,
        cached=cached + cached_audio,
        cache_write=written + hour,
        reasoning=thought,
        details=details if draw(st.booleans()) else None,
    )


@pytest.mark.parametrize(
    ("picos", "expected"),
    [(0, 0), (499, 0), (500, 1), (999, 1), (1000, 1), (1499, 1), (1500, 2), (2500, 3), (10**21, 10**18)],
)
def test_rounds_half_up(picos: int, expected: int) -> None:
    assert nano(picos) == expected


@given(st.integers(0, 10**24))
def test_rounds_as_decimals_do(picos: int) -> None:
    assert nano(picos) == (Decimal(picos) / 1000).quantize(Decimal(1), ROUND_HALF_UP)


def test_rounds_the_sum_not_its_parts() -> None:
    price = Price(id=1, prompt=300, completion=300)
    assert price.amount(Usage(prompt=1, completion=1)) == 1


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(1000, 0), 1_000_000),
        (Usage(0, 1000), 2_000_000),
        (Usage(1000, 0, cached=1000), 100_000),
        (Usage(1000, 0, cached=600, cache_write=300), 600 * 100 + 300 * 1250 + 100 * 1000),
        (Usage(0, 1000, reasoning=400), 600 * 2000 + 400 * 3000),
        (Usage(0, 0), 0),
    ],
)
def test_every_kind_of_token_has_its_price(usage: Usage, expected: int) -> None:
    price = Price(
        id=1,
        prompt=1_000_000,
        completion=2_000_000,
        input_cache_read=100_000,
        input_cache_write=1_250_000,
        internal_reasoning=3_000_000,
    )
    assert price.amount(usage) == expected


def test_what_has_no_price_of_its_own_costs_what_its_whole_costs() -> None:
    price = Price(id=1, prompt=1_000_000, completion=2_000_000)
    assert price.amount(Usage(1000, 1000, cached=400, cache_write=200, reasoning=500)) == 3_000_000


def test_a_request_may_cost_beside_its_tokens() -> None:
    price = Price(id=1, prompt=0, completion=0, request=5_000_000_000)
    assert price.amount(Usage()) == price.bound(0, 0) == 5_000_000


def test_free_is_free() -> None:
    price = Price(id=1, prompt=0, completion=0)
    assert price.amount(Usage(10**9, 10**9)) == price.bound(10**9, 10**9) == 0
    assert price.affordable_completion(0, 10**9) is None


def units(usage: Usage, more: int = 0) -> Units:
    found = usage.details or Details()
    return Units(found.images + more, found.output_images + more, found.searches + more)


@given(prices, usages(), tokens, few)
def test_the_bound_is_never_below_the_amount(price: Price, usage: Usage, more: int, units_more: int) -> None:
    bound = price.bound(usage.prompt + more, usage.completion + more, units(usage, units_more))
    assert bound >= price.amount(usage) >= 0


@given(prices, usages(), markups)
def test_the_bound_holds_for_customers_prices(price: Price, usage: Usage, markup: int) -> None:
    customers = price.marked_up(markup)
    assert customers.bound(usage.prompt, usage.completion, units(usage)) >= customers.amount(usage) >= 0
    assert customers.cost(usage) == price.amount(usage)


@given(prices, st.integers(0, 10**15), tokens, few)
def test_what_is_affordable_fits(price: Price, amount: int, prompt: int, images: int) -> None:
    size = Units(images, images, images)
    affordable = price.affordable_completion(amount, prompt, size)
    if affordable is None:
        assert price.bound(prompt, 10**9, size) <= amount
    elif affordable < 0:
        assert price.bound(prompt, 0, size) > amount
    else:
        assert price.bound(prompt, affordable, size) <= amount


# Every kind has its price


KINDS: dict[str, tuple[Usage, int]] = {
    "image": (Usage(details=Details(images=3)), 3),
    "image_token": (Usage(prompt=1000, details=Details(image_tokens=600)), 600),
    "image_output": (Usage(details=Details(output_images=2)), 2),
    "image_output_token": (Usage(completion=1000, details=Details(output_image_tokens=700)), 700),
    "audio": (Usage(prompt=1000, cached=200, details=Details(audio=600, cached_audio=200)), 400),
    "audio_output": (Usage(completion=1000, details=Details(output_audio=700)), 700),
    "input_audio_cache": (Usage(prompt=1000, cached=300, details=Details(audio=600, cached_audio=200)), 200),
    "web_search": (Usage(details=Details(searches=4)), 4),
    "internal_reasoning": (Usage(completion=1000, reasoning=400), 400),
    "input_cache_read": (Usage(prompt=1000, cached=300, details=Details(audio=200, cached_audio=200)), 100),
    "input_cache_write": (Usage(prompt=1000, cache_write=300, details=Details(cache_write_1h=100)), 200),
    "input_cache_write_1h": (Usage(prompt=1000, cache_write=300, details=Details(cache_write_1h=100)), 100),
    "request": (Usage(), 1),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_charged_by_its_own_count(name: str) -> None:
    usage, count = KINDS[name]
    others = {"input_audio_cache": 0} if name in ("input_cache_read", "audio") else {}
    others |= {"input_cache_write_1h": 0} if name == "input_cache_write" else {}
    price = Price(id=1, prompt=0, completion=0, **{**others, name: 1_000_000})  # type: ignore[arg-type]
    assert price.amount(usage) == count * 1000


@pytest.mark.parametrize("name", set(KINDS) - {"image", "image_output", "web_search", "request"})
def test_a_kind_without_a_price_costs_what_its_whole_does(name: str) -> None:
    usage, _ = KINDS[name]
    price = Price(id=1, prompt=2_000_000, completion=3_000_000)
    assert price.amount(usage) == usage.prompt * 2000 + usage.completion * 3000


def test_an_hour_of_cache_costs_what_a_write_does_and_cached_audio_what_a_read_does() -> None:
    price = Price(id=1, prompt=9, completion=9, input_cache_write=2_000_000, input_cache_read=1_000_000, audio=5)
    assert price.amount(Usage(prompt=100, cache_write=100, details=Details(cache_write_1h=100))) == 200_000
    assert price.amount(Usage(prompt=100, cached=100, details=Details(audio=100, cached_audio=100))) == 100_000


# Tiers


TIERED = Price(
    id=1,
    prompt=1_000_000,
    completion=2_000_000,
    input_cache_read=100_000,
    overrides=(
        Override(min_prompt_tokens=500, prompt=4_000_000, input_cache_read=400_000),
        Override(min_prompt_tokens=200, prompt=3_000_000, completion=5_000_000),
    ),
)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(200, 10), 200 * 1000 + 10 * 2000),
        (Usage(201, 10), 201 * 3000 + 10 * 5000),
        (Usage(201, 10, cached=100), 101 * 3000 + 100 * 100 + 10 * 5000),
        # The later entry has the word for the prompt, the earlier one for the cache.
        (Usage(501, 10, cached=100), 401 * 3000 + 100 * 400 + 10 * 5000),
    ],
)
def test_longer_prompts_have_their_own_prices(usage: Usage, expected: int) -> None:
    assert TIERED.amount(usage) == expected


def test_the_bound_knows_the_dearest_step_that_can_be_reached() -> None:
    cheaper = Price(
        id=1,
        prompt=5_000_000,
        completion=5_000_000,
        overrides=(Override(min_prompt_tokens=99, prompt=0, completion=0),),
    )
    assert cheaper.bound(200, 10) == 210 * 5000
    assert TIERED.bound(200, 10) == 200 * 1000 + 10 * 2000
    assert TIERED.bound(201, 10) == 201 * 3000 + 10 * 5000


# The clock

MONDAY = 1_763_337_600  # 17 November 2025, 00:00 UTC


def at(day: int, clock: int) -> int:
    return MONDAY + day * 86_400 + clock // 100 * 3600 + clock % 100 * 60


@pytest.mark.parametrize(
    ("day", "clock", "holds"),
    [(0, 1629, False), (0, 1630, True), (0, 2359, True), (1, 0, True), (1, 29, True), (1, 30, False)],
)
def test_a_window_may_pass_midnight(day: int, clock: int, holds: bool) -> None:
    price = Price(id=1, prompt=4, completion=0, overrides=(Override(utc_start=1630, utc_end=30, prompt=2),))
    assert price.at(at(day, clock)).amount(Usage(1000)) == (2 if holds else 4)


def test_a_window_within_a_day_ends_before_its_end() -> None:
    price = Price(id=1, prompt=4, completion=0, overrides=(Override(utc_start=100, utc_end=200, prompt=2),))
    found = [price.at(at(2, clock)).amount(Usage(1000)) for clock in (59, 100, 159, 200)]
    assert found == [4, 2, 2, 4]


def test_days_are_of_the_moment_and_narrow_a_window() -> None:
    whole = Override(utc_days=("sunday",), prompt=2)
    night = Override(utc_days=("monday", "friday"), utc_start=2200, utc_end=600, prompt=1)
    price = Price(id=1, prompt=4, completion=0, overrides=(whole, night))
    moments = [at(0, 0), at(0, 600), at(4, 2200), at(5, 0), at(6, 1200), at(7, 0)]
    assert [price.at(moment).amount(Usage(1000)) for moment in moments] == [1, 4, 1, 4, 2, 1]


def test_conditions_hold_together_and_the_last_has_the_word() -> None:
    price = Price(
        id=1,
        prompt=4,
        completion=0,
        overrides=(
            Override(utc_start=0, utc_end=1200, prompt=2),
            Override(utc_start=0, utc_end=600, min_prompt_tokens=1000, prompt=1),
        ),
    )
    assert price.at(at(0, 100)).amount(Usage(1000)) == 2
    assert price.at(at(0, 100)).amount(Usage(2000)) == 2
    assert price.at(at(0, 900)).amount(Usage(2000)) == 4
    assert price.at(at(0, 1300)).amount(Usage(2000)) == 8


# Discount and markup


def test_a_discount_comes_off_every_price() -> None:
    price = Price(id=1, prompt=1_000_000, completion=2_000_000, request=10_000_000, discount=250_000)
    assert price.amount(Usage(100, 100)) == 75_000 + 150_000 + 7_500
    assert Price(id=1, prompt=5, completion=5, discount=MILLION).is_free


@given(st.integers(0, 10**15), st.integers(0, 4 * MILLION))
def test_parts_round_half_up(amount: int, millionths: int) -> None:
    exact = Decimal(amount) * millionths / MILLION
    assert part(amount, millionths) == exact.quantize(Decimal(1), ROUND_HALF_UP)


def test_a_markup_is_on_every_price_and_on_overrides_and_the_list_price_is_kept() -> None:
    price = Price(
        id=7,
        prompt=1_000_000,
        completion=3,
        image=10,
        overrides=(Override(min_prompt_tokens=10, prompt=2_000_000),),
    )
    customers = price.marked_up(55_000)
    assert (customers.id, customers.prompt, customers.completion, customers.image) == (7, 1_055_000, 3, 11)
    assert customers.amount(Usage(10)) == 10_550
    assert (customers.amount(Usage(100)), customers.cost(Usage(100))) == (211_000, 200_000)
    assert price.marked_up(0) is price


def test_free_stays_free() -> None:
    price = Price(id=1, prompt=0, completion=0, request=0)
    assert price.is_free
    assert price.marked_up(3 * MILLION).is_free
    assert not Price(id=1, prompt=0, completion=0, overrides=(Override(min_prompt_tokens=5, prompt=1),)).is_free


def test_markup_and_clock_together() -> None:
    price = Price(id=1, prompt=4_000, completion=0, overrides=(Override(utc_start=0, utc_end=1200, prompt=2_000),))
    morning, evening = price.marked_up(500_000).at(at(0, 100)), price.marked_up(500_000).at(at(0, 2000))
    assert (morning.amount(Usage(1000)), morning.cost(Usage(1000))) == (3_000, 2_000)
    assert (evening.amount(Usage(1000)), evening.cost(Usage(1000))) == (6_000, 4_000)


@pytest.mark.parametrize(
    ("picos", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (250, "0.00000000025"),
        (10**6, "0.000001"),
        (PICO, "1"),
        (125 * PICO // 10, "12.5"),
    ],
)
def test_dollars_are_plain_decimals(picos: int, text: str) -> None:
    assert dollars(picos) == text
    assert pico(text) == picos


@given(st.integers(0, 10**17))
def test_dollars_and_back(picos: int) -> None:
    assert pico(dollars(picos)) == picos


@pytest.mark.parametrize("text", ["", "-1", "+1", "1e-6", ".5", "5.", "1,5", "١", " 1", "0.0000000000001", "1000000"])
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|has 13 decimals"):
        pico(text)
