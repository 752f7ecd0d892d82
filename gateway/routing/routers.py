"""`openrouter/auto` and `openrouter/free`: models picked by rules (routers.yaml), not by a call to anyone."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from random import Random

import msgspec
import yaml
from msgspec import Struct

from gateway.routing.bounds import Size
from providers.canonical import Message, Plugin, Request
from providers.snapshot import Model, Snapshot

AUTO = "openrouter/auto"
FREE = "openrouter/free"
# How many models a router hands on: the rest are fallbacks of the first.
PICKED = 3
# Where a task shows itself; the rest of a long message is material.
READ = 4000
PLUGIN = "auto-router"
NO_OPTIONS = Plugin(PLUGIN)


class Task(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    inputs: frozenset[str] = frozenset()
    tools: bool = False
    prompt_tokens: int = 0
    words: tuple[str, ...] = ()


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    tiers: tuple[str, ...]
    default_tier: str
    tasks: tuple[Task, ...]
    models: dict[str, dict[str, tuple[str, ...]]]


RULES = msgspec.convert(yaml.safe_load(Path(__file__).with_name("routers.yaml").read_text()), Rules)
WORDS = {
    task.name: re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in task.words), re.IGNORECASE)
    for task in RULES.tasks
    if task.words
}


def auto(request: Request, size: Size, snapshot: Snapshot) -> Iterator[Model]:
    """Models for this request, the best first; it is for the filters to say which of them can answer."""
    options = next((one for one in request.chat.plugins or () if one.id == PLUGIN), NO_OPTIONS)
    tier = options.cost_tier or RULES.default_tier
    listed = (slug for near in nearest(tier) for slug in RULES.models[task_of(request, size)].get(near, ()))
    ruled = (snapshot.models.get(snapshot.latest.get(slug, slug)) for slug in listed)
    seen: set[str] = set()
    for model in chain(filter(None, ruled), by_price(snapshot.writers, tier)):
        if model.slug not in seen and is_allowed(model.slug, options):
            seen.add(model.slug)
            yield model


def free(snapshot: Snapshot, random: Random) -> list[Model]:
    found = [model for model in snapshot.writers if model.is_free]
    random.shuffle(found)
    return found


def task_of(request: Request, size: Size) -> str:
    text = last_words(request.chat.messages)
    for task in RULES.tasks:
        if task.inputs and not task.inputs & size.inputs:
            continue
        if (task.tools and not request.chat.tools) or size.expected_prompt < task.prompt_tokens:
            continue
        if not task.words or WORDS[task.name].search(text):
            return task.name
    raise AssertionError("the last task fits everything")


def last_words(messages: Iterable[Message]) -> str:
    content = next((message.content for message in reversed(list(messages)) if message.role == "user"), None)
    if isinstance(content, list):
        content = " ".join(part.text for part in content if part.text)
    return (content or "")[:READ]


def nearest(tier: str) -> list[str]:
    """The tier, those below it from the top, then those above it."""
    place = RULES.tiers.index(tier)
    return [*reversed(RULES.tiers[: place + 1]), *RULES.tiers[place + 1 :]]


def by_price(models: tuple[Model, ...], tier: str) -> list[Model]:
    """Models that no rule names: those first that stand where the tier stands among the tiers."""
    place = RULES.tiers.index(tier) / (len(RULES.tiers) - 1) * (len(models) - 1)
    return [model for _, model in sorted(enumerate(models), key=lambda pair: abs(pair[0] - place))]


def is_allowed(slug: str, options: Plugin) -> bool:
    if options.allowed_models and not any(fnmatchcase(slug, pattern) for pattern in options.allowed_models):
        return False
    return not any(fnmatchcase(slug, pattern) for pattern in options.excluded_models or ())
