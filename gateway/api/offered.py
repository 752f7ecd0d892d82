"""What lists of models have beside the catalogue: aliases of the newest of a family, and routers (§1.2, §4.8)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import structs

from gateway.api.model_query import FILTERS, Known, Parameters, select
from gateway.api.rows import model_row
from gateway.routing.routers import AUTO, FREE
from providers.models import INPUT_MODALITIES
from providers.snapshot import Model, Snapshot

# Who filters by what only a model can have means none that stands for many.
OF_ROUTERS = frozenset({"q", "arch", "model_authors"})
OF_MODELS = FILTERS.keys() - OF_ROUTERS
# A price that is known when a model is picked.
VARIABLE = "-1"
ABOUT = {
    AUTO: (
        "Auto Router",
        "Picks a model for each request by its task and the cost tier. The picked model's price is charged.",
    ),
    FREE: ("Free Models Router", "Any free model that can take the request, by chance."),
}


def offered(snapshot: Snapshot, asked: Parameters, known: Known) -> list[Model]:
    """As `select`; routers come last, whatever the order."""
    found = select([*snapshot.models.values(), *aliases(snapshot)], asked, known)
    if any(asked.get(name) for name in OF_MODELS):
        return found
    unsorted = {name: value for name, value in asked.items() if name != "sort"}
    return found + select(routers(snapshot), unsorted, known)


def named(snapshot: Snapshot, slug: str) -> Model | None:
    """By a slug of any kind."""
    if slug in snapshot.latest:
        return alias(slug, snapshot)
    return snapshot.models.get(slug) or next((one for one in routers(snapshot) if one.slug == slug), None)


def row(model: Model, snapshot: Snapshot) -> dict[str, Any]:
    found = model_row(model)
    if target := snapshot.latest.get(model.slug):
        found["alias_target"] = {"name": snapshot.models[target].name, "slug": target}
    elif model.slug in ABOUT:
        price = VARIABLE if model.slug == AUTO else "0"
        found["pricing"] = {"prompt": price, "completion": price}
        found["top_provider"] = {"is_moderated": False, "context_length": None, "max_completion_tokens": None}
    return found


def aliases(snapshot: Snapshot) -> list[Model]:
    return [alias(slug, snapshot) for slug in snapshot.latest]


def alias(slug: str, snapshot: Snapshot) -> Model:
    target = snapshot.models[snapshot.latest[slug]]
    family = slug.partition("/")[2].replace("-", " ").title()
    maker, colon, _ = target.name.partition(": ")
    name = f"{maker}: {family}" if colon else family
    return structs.replace(target, slug=slug, canonical_slug=slug, name=name)


def routers(snapshot: Snapshot) -> list[Model]:
    """Each looks like all the models together that it picks from, if there are any."""
    choices = {AUTO: snapshot.writers, FREE: [model for model in snapshot.writers if model.is_free]}
    begin = min((model.released_at for model in snapshot.writers), default=None)
    return [router(slug, list(models), begin) for slug, models in choices.items() if models and begin]


def router(slug: str, models: list[Model], begin: datetime) -> Model:
    name, description = ABOUT[slug]
    return structs.replace(
        models[0],
        slug=slug,
        canonical_slug=slug,
        name=name,
        description=description,
        released_at=begin,
        context_length=max(model.context_length for model in models),
        input_modalities=tuple(one for one in INPUT_MODALITIES if one in taken(models)),
        output_modalities=("text",),
        tokenizer="Router",
        instruct_type="",
        hugging_face_id="",
        knowledge_cutoff=None,
        endpoints=tuple(endpoint for model in models for endpoint in model.routable),
    )


def taken(models: Iterable[Model]) -> set[str]:
    return {modality for model in models for modality in model.input_modalities}
