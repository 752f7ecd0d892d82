"""Prices: pico-USD a token to nano-USD, rounded once."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.canonical import Usage
from providers.pricing import PICO, Price, dollars, nano, pico

amounts = st.integers(0, 10**11)
maybe = st.none() | amounts
tokens = st.integers(0, 10**7)
prices = st.builds(
    Price,
    id=st.just(1),
    prompt=amounts,
    completion=amounts,
    request=maybe,
    image=maybe,
    input_cache_read=maybe,
    input_cache_write=maybe,
    internal_reasoning=maybe,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, written, plain = draw(tokens), draw(tokens), draw(tokens)
    reasoning, said = draw(tokens), draw(tokens)
    return Usage(cached + written + plain, reasoning + said, cached, written, reasoning)


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


@given(prices, usages())
def test_the_bound_is_never_below_the_amount(price: Price, usage: Usage) -> None:
    assert price.bound(usage.prompt, usage.completion) >= price.amount(usage)


@given(prices, st.integers(0, 10**15), tokens)
def test_what_is_affordable_fits(price: Price, amount: int, prompt: int) -> None:
    affordable = price.affordable_completion(amount, prompt)
    if affordable is None:
        assert price.bound(prompt, 10**9) <= amount
    elif affordable < 0:
        assert price.bound(prompt, 0) > amount
    else:
        assert price.bound(prompt, affordable) <= amount


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
