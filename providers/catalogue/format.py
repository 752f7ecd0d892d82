"""The catalogue file (docs/catalogue.md): YAML text to checked rows, or every problem of it with its line."""

import datetime
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml
from django.core.exceptions import ValidationError

from providers import models, quirks
from providers.catalogue.reading import Check, Fields, Problem
from providers.overrides import DAYS, OVERRIDABLE, clock_misfit, override_misfit
from providers.preferences import QUANTIZATIONS
from providers.quirks import Quirks

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COUNTRY = re.compile(r"[A-Z]{2}")
# In the place of an endpoint's prices.
NO_PRICES = "none"


@dataclass(frozen=True, slots=True)
class ProviderRow:
    slug: str
    fields: dict[str, Any]
    """By the names of the model's columns."""
    api_key: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    fields: dict[str, Any]
    """By the names of the model's columns; amounts in pico-USD."""
    source: str
    as_of: datetime.date | None
    is_end: bool = False
    """There is no price any more."""


@dataclass(frozen=True, slots=True)
class EndpointRow:
    provider: str
    tag: str
    fields: dict[str, Any]
    price: PriceRow | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    slug: str
    fields: dict[str, Any]
    released_at: datetime.datetime | None
    endpoints: list[EndpointRow]


@dataclass(frozen=True, slots=True)
class Catalogue:
    providers: list[ProviderRow] = field(default_factory=list)
    models: list[ModelRow] = field(default_factory=list)


class BadCatalogue(Exception):
    """Carries every problem, in the order of the file's lines."""

    def __init__(self, problems: Collection[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__(f"{len(self.problems)} problems")


def parse(text: str, *, wires: Collection[str], providers: Collection[str], may_hold_keys: bool = True) -> Catalogue:
    """`providers` are the slugs that endpoints may name besides the file's own. Raises BadCatalogue."""
    problems: list[Problem] = []
    root = Fields(_compose(text), "", problems)
    found = _unique(root.rows("providers"), _slug_of)
    provider_rows = [_provider(fields, wires) for fields in found]
    for fields in found:
        if fields.has("api_key") and not may_hold_keys:
            fields.problem("api_key", "must not stand in a file that is kept; give api_key_env, or put the key in")
    known = {*providers, *(row.slug for row in provider_rows)}
    model_rows = [_model(fields, known) for fields in _unique(root.rows("models"), _slug_of)]
    root.done()
    if problems:
        raise BadCatalogue(problems)
    return Catalogue(provider_rows, model_rows)


def _compose(text: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadCatalogue([Problem(mark.line + 1 if mark else 1, "yaml", error.problem or str(error))]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadCatalogue([Problem(line, "yaml", f"character {error.character!r} is not allowed")]) from None
    if node is None:
        raise BadCatalogue([Problem(1, "file", "is empty")])
    return node


def _unique(rows: list[Fields], name_of: Callable[[Fields], tuple[str, str]]) -> list[Fields]:
    """Notes a problem at each row whose name an earlier row has; `name_of` gives the field and the value."""
    lines: dict[str, int] = {}
    for row in rows:
        field_name, value = name_of(row)
        if value in lines:
            row.problem(field_name, f"{value!r} stands here twice; first on line {lines[value]}")
        elif value:
            lines[value] = row.line(field_name)
    return rows


def _slug_of(row: Fields) -> tuple[str, str]:
    return "slug", row.peek("slug")


def _tag_of(row: Fields) -> tuple[str, str]:
    return ("tag", row.peek("tag")) if row.has("tag") else ("provider", row.peek("provider"))


def _provider(row: Fields, wires: Collection[str]) -> ProviderRow:
    found = ProviderRow(
        slug=row.text("slug", longest=64, check=_like(models.slug)),
        fields={
            "name": row.text("name", longest=100),
            "wire": row.choice("wire", wires),
            "base_url": row.text("base_url", longest=500, check=base_url_misfit),
            "api_key_env": row.text("api_key_env", default="", longest=100, check=_variable_name),
            "is_enabled": row.flag("enabled") is not False,
            **_limits(row),
            "passthrough": row.flag("passthrough") is True,
            "quirks": _quirks(row.mapping("quirks")),
            "trains_on_data": row.flag("trains_on_data"),
            "retention_days": row.count("retention_days", least=0),
            "headquarters": row.text("headquarters", default="", longest=2, check=_country),
            "datacenters": row.texts("datacenters", required=False),
            "privacy_policy_url": row.text("privacy_policy_url", default="", longest=200, check=_link),
            "terms_of_service_url": row.text("terms_of_service_url", default="", longest=200, check=_link),
            "status_page_url": row.text("status_page_url", default="", longest=200, check=_link),
        },
        api_key=row.text("api_key", default="", longest=10_000),
    )
    row.done()
    return found


def _limits(row: Fields) -> dict[str, Any]:
    return {
        "max_concurrency": row.count("max_concurrency"),
        "queue_length": row.count("queue_length", least=0),
        "queue_wait_s": row.count("queue_wait_s", least=0),
    }


def _quirks(row: Fields | None) -> dict[str, Any]:
    """Only what is given: each wire's adapter has the defaults."""
    if row is None:
        return {}
    given: dict[str, Any] = {}
    for name in Quirks.__struct_fields__:
        if not row.has(name):
            continue
        given[name] = row.plain(name)
        try:
            quirks.read({name: given[name]})
        except msgspec.ValidationError as error:
            row.problem(name, str(error).partition(" - at ")[0])
    row.done()
    return given


def _model(row: Fields, providers: Collection[str]) -> ModelRow:
    released = row.date("released_at")
    found = ModelRow(
        slug=row.text("slug", longest=128, check=_like(models.model_slug)),
        fields={
            "name": row.text("name", longest=200),
            "canonical_slug": row.text("canonical_slug", default="", longest=128, check=_like(models.model_slug)),
            "description": row.text("description", default="", longest=10_000),
            "is_enabled": row.flag("enabled") is not False,
            "context_length": row.count("context_length", required=True),
            "input_modalities": row.texts("input_modalities", required=True, choices=models.INPUT_MODALITIES),
            "output_modalities": row.texts("output_modalities", required=True, choices=models.OUTPUT_MODALITIES),
            "tokenizer": row.text("tokenizer", default="Other", longest=32),
            "instruct_type": row.text("instruct_type", default="", longest=32),
            "hugging_face_id": row.text("hugging_face_id", default="", longest=200),
            "knowledge_cutoff": row.date("knowledge_cutoff"),
            "allows_distillation": row.flag("allows_distillation"),
        },
        released_at=datetime.datetime.combine(released, datetime.time.min, datetime.UTC) if released else None,
        endpoints=[_endpoint(fields, providers) for fields in _unique(row.rows("endpoints"), _tag_of)],
    )
    row.done()
    return found


def _endpoint(row: Fields, providers: Collection[str]) -> EndpointRow:
    provider = row.text("provider", longest=64)
    if provider and provider not in providers:
        row.problem("provider", f"{provider!r} is not a provider of this file or of the database")
    found = EndpointRow(
        provider=provider,
        tag=row.text("tag", default=provider, longest=128, check=_like(models.tag)),
        fields={
            "upstream_model": row.text("upstream_model", longest=300),
            "is_enabled": row.flag("enabled") is not False,
            "context_length": row.count("context_length"),
            "max_prompt_tokens": row.count("max_prompt_tokens"),
            "max_completion_tokens": row.count("max_completion_tokens"),
            "service_tier": row.choice("service_tier", ("", *models.SERVICE_TIERS), default=""),
            "quantization": row.choice("quantization", QUANTIZATIONS, default="unknown"),
            "supported_parameters": row.texts("supported_parameters", required=False),
            "first_token_timeout_s": row.count("first_token_timeout_s"),
            **_limits(row),
        },
        price=_price(row),
    )
    row.done()
    return found


def _price(endpoint: Fields) -> PriceRow | None:
    if endpoint.peek("prices") == NO_PRICES:
        endpoint.text("prices", longest=10)
        return PriceRow({}, "", None, is_end=True)
    row = endpoint.mapping("prices")
    if row is None:
        return None
    amounts = {name: row.price(name, required=name in ("prompt", "completion")) for name in models.Price.AMOUNTS}
    overrides = [_override(fields) for fields in row.rows("overrides")]
    found = PriceRow(
        fields={**amounts, "discount": row.fraction("discount"), "overrides": overrides},
        source=row.text("source", default="", longest=200),
        as_of=row.date("as_of"),
    )
    row.done()
    return found


def _override(row: Fields) -> dict[str, Any]:
    """Only what is given."""
    found: dict[str, Any] = {name: row.price(name) for name in OVERRIDABLE}
    found["min_prompt_tokens"] = row.count("min_prompt_tokens", least=0)
    for name in ("utc_start", "utc_end"):
        found[name] = row.count(name, least=0)
        if reason := clock_misfit(found[name]):
            row.problem(name, reason)
    if row.has("utc_days"):
        found["utc_days"] = row.texts("utc_days", required=True, choices=DAYS)
    row.done()
    given = {name: value for name, value in found.items() if value is not None}
    if reason := override_misfit(given):
        row.problem("", reason)
    return given


def _like(validator: Callable[[str], None]) -> Check:
    def check(value: str) -> str | None:
        try:
            validator(value)
        except ValidationError as error:
            return f"{value!r} does not fit: {' '.join(error.messages)}"
        return None

    return check


def base_url_misfit(value: str) -> str | None:
    # Any variable may be a whole URL, a host, a port or a part of the path; "1" fits each of those places.
    plain = VARIABLE.sub("1", value)
    if VARIABLE.match(value):
        plain = f"http://{plain}"
    if "$" in plain:
        return "has a $ that begins no ${VARIABLE}"
    return _url_misfit(plain, may_query=False)


def _link(value: str) -> str | None:
    return _url_misfit(value, may_query=True)


def _url_misfit(value: str, *, may_query: bool) -> str | None:
    if not value.isascii() or not value.isprintable() or " " in value:
        return "is not a URL: it has characters that a URL cannot have"
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an http:// or https:// URL with a host"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if not may_query and (parts.query or parts.fragment):
        return "must not have a query or fragment"
    return None


def _variable_name(value: str) -> str | None:
    return None if _NAME.fullmatch(value) else "must be the name of an environment variable, without $ and braces"


def _country(value: str) -> str | None:
    return None if _COUNTRY.fullmatch(value) else "must be a two-letter country code in capitals"
