"""The `provider` object of a request: which endpoints may answer, and which should (reference §2.2)."""

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

Quantization = Literal[
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"
]
QUANTIZATIONS: tuple[str, ...] = get_args(Quantization)
DataCollection = Literal["allow", "deny"]
SortBy = Literal["price", "throughput", "latency", "exacto"]
Slug = Annotated[str, Meta(min_length=1, max_length=200)]
Slugs = Annotated[list[Slug], Meta(max_length=200)]
# Clients send both: the published schema has strings, its examples numbers.
Dollars = Annotated[float, Meta(ge=0)] | Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")]
Cutoff = Annotated[float, Meta(ge=0)]


class Sort(Struct, frozen=True):
    by: SortBy
    partition: Literal["model", "none"] | None = None


class Cutoffs(Struct, frozen=True):
    """By percentile; all that are given must hold."""

    p50: Cutoff | None = None
    p75: Cutoff | None = None
    p90: Cutoff | None = None
    p99: Cutoff | None = None


class MaxPrice(Struct, frozen=True):
    """USD: a million tokens for `prompt` and `completion`, one of the others."""

    prompt: Dollars | None = None
    completion: Dollars | None = None
    request: Dollars | None = None
    image: Dollars | None = None
    audio: Dollars | None = None


class ProviderPreferences(Struct, frozen=True):
    order: Slugs | None = None
    only: Slugs | None = None
    ignore: Slugs | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: DataCollection | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[Quantization] | None = None
    sort: SortBy | Sort | None = None
    max_price: MaxPrice | None = None
    preferred_min_throughput: Cutoff | Cutoffs | None = None
    """Tokens a second."""
    preferred_max_latency: Cutoff | Cutoffs | None = None
    """Seconds to the first token."""
