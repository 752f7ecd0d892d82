"""Prices in a catalogue file: every kind, discounts, overrides, and the end of a price."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from providers.canonical import Usage
from providers.catalogue.format import BadCatalogue
from providers.importer import import_catalogue
from providers.loading import load, price
from providers.models import Endpoint, Price
from providers.rates import AMOUNTS

pytestmark = pytest.mark.django_db

FILE = """\
providers:
  - {slug: acme, name: Acme, wire: openai, base_url: "http://127.0.0.1:9101/v1"}
models:
  - slug: acme/large
    name: "Acme: Large"
    context_length: 131072
    input_modalities: [text, image]
    output_modalities: [text]
    endpoints:
      - provider: acme
        upstream_model: large
"""
PLAIN = 'prices: {prompt: "0.000001", completion: "0.000002"}'


def importing(prices: str) -> None:
    import_catalogue(f"{FILE}        {prices}\n", source="test")


def current() -> Price:
    return Price.objects.current().get()


def problems(prices: str) -> list[str]:
    with pytest.raises(BadCatalogue) as refusal:
        importing(prices)
    assert Price.objects.count() == 0
    return [f"{problem.path}: {problem.reason}" for problem in refusal.value.problems]


def test_every_kind_has_a_price() -> None:
    kinds = ", ".join(f'{name}: "0.0000{number}"' for number, name in enumerate(AMOUNTS[2:], 11))
    importing(f'prices: {{prompt: "0.000001", completion: "0", {kinds}, discount: "0.25"}}')
    row = current()
    assert [getattr(row, name) for name in AMOUNTS] == [1_000_000, 0, *(n * 1_000_000 for n in range(11, 24))]
    assert row.discount == 250_000
    assert price(row).amount(Usage(100)) == 100 * 750 + 11_000 * 75 // 100


OVERRIDES = """prices:
          prompt: "0.000001"
          completion: "0.000002"
          overrides:
            - {min_prompt_tokens: 200000, prompt: "0.000004", input_cache_write_1h: "0.000008"}
            - {utc_start: 1630, utc_end: 0030, utc_days: [monday, sunday], completion: "0.000001"}"""


def test_overrides_by_length_and_clock() -> None:
    importing(OVERRIDES)
    importing(OVERRIDES)
    row = Price.objects.get()
    assert row.overrides == [
        {"prompt": 4_000_000, "input_cache_write_1h": 8_000_000, "min_prompt_tokens": 200_000},
        {"completion": 1_000_000, "utc_start": 1630, "utc_end": 30, "utc_days": ["monday", "sunday"]},
    ]
    first, second = price(row).overrides
    assert (first.prompt, first.above, second.utc_days) == (4_000_000, 200_000, ("monday", "sunday"))
    importing(OVERRIDES.replace("1630", "1700"))
    assert Price.objects.count() == 2


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ('{prompt: "1"}', "overrides[0]: has no condition"),
        ("{min_prompt_tokens: 5}", "overrides[0]: has no price"),
        ('{min_prompt_tokens: 5, image: "1"}', "overrides[0].image: is not a known field"),
        ('{utc_start: 5, prompt: "1"}', "overrides[0]: needs utc_start and utc_end together"),
        ('{utc_start: 5, utc_end: 5, prompt: "1"}', "overrides[0]: has a window that is never open"),
        ('{utc_start: 1660, utc_end: 5, prompt: "1"}', "utc_start: must be a clock number"),
        ('{utc_start: 0, utc_end: 2400, prompt: "1"}', "utc_end: must be a clock number"),
        ('{utc_days: [caturday], prompt: "1"}', "utc_days[0]: is 'caturday'; it must be one of monday"),
        ("7", "overrides[0]: must be a mapping, not a number"),
    ],
)
def test_overrides_that_make_no_sense_are_refused(override: str, reason: str) -> None:
    found = problems(f'prices: {{prompt: "1", completion: "1", overrides: [{override}]}}')
    assert any(reason in problem for problem in found), found


@pytest.mark.parametrize("discount", ['"1.1"', '"0.0000001"', "0.5", '"-1"'])
def test_a_discount_is_a_fraction(discount: str) -> None:
    assert ".discount: " in problems(f'prices: {{prompt: "1", completion: "1", discount: {discount}}}')[0]


def test_a_price_ends_and_begins_again() -> None:
    importing("prices: none")
    assert Price.objects.count() == 0
    importing(PLAIN)
    importing("prices: none")
    importing("prices: none")
    began, end = Price.objects.order_by("id")
    assert (end.is_end, end.prompt, began.is_end) == (True, began.prompt, False)
    model = load({}).models["acme/large"]
    assert ([one.price for one in model.endpoints], model.routable) == ([None], ())
    importing(PLAIN)
    assert not current().is_end
    assert load({}).models["acme/large"].routable


@pytest.mark.parametrize("word", ["nothing", "0", "[none]"])
def test_only_one_word_ends_a_price(word: str) -> None:
    assert ".prices: must be a mapping" in problems(f"prices: {word}")[0]


def test_the_database_refuses_prices_below_zero() -> None:
    importing(PLAIN)
    endpoint = Endpoint.objects.get()
    wrong: list[dict[str, Any]] = [{"image": -1}, {"audio_output": -1}, {"discount": 1_000_001}]
    for fields in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            Price.objects.create(endpoint=endpoint, source="x", as_of="2026-11-22", prompt=0, completion=0, **fields)
