"""One change that a catalogue file would make, as the importer writes it and as an operator reads it."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from providers.dollars import dollars
from providers.models import Credential, Endpoint, Model, Price, Provider
from providers.overrides import published
from providers.rates import MILLION

Kind = Literal["provider", "credential", "model", "endpoint", "price"]
UNSAID: tuple[Any, ...] = (None, "", [], {})


@dataclass(eq=False)
class Change:
    kind: Kind
    name: str
    row: Provider | Credential | Model | Endpoint | Price
    before: dict[str, Any] | None
    """By the model's columns; None: there was none."""
    after: dict[str, Any]
    parents: Mapping[str, Any]
    """Rows that it belongs to, by the model's fields."""
    needs: "list[Change]" = field(default_factory=list)
    """They add what it belongs to."""
    secret: str = field(default="", repr=False)

    @property
    def verb(self) -> str:
        if self.after.get("is_end"):
            return "ended"
        if self.before is None:
            return "added"
        if "is_enabled" in self.after:
            return "enabled" if self.after["is_enabled"] else "disabled"
        return "changed"

    @property
    def told(self) -> list[tuple[str, Any, Any]]:
        """Field, before, after: as the file writes them, those alone that differ."""
        if self.kind == "credential":
            return [("api_key", None, "(not kept)")]
        if self.after.get("is_end"):
            return [("prices", "in force", "none")]
        before = self.before or {}
        rows = [
            (name, plain(name, before.get(name), self.kind), plain(name, after, self.kind))
            for name, after in self.after.items()
        ]
        return [row for row in rows if row[1] != row[2]]

    @property
    def mark(self) -> str:
        """The same for the same change alone."""
        said = json.dumps([self.kind, self.name, self.before is None, self.told], sort_keys=True)
        return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def with_needed(chosen: Collection[Change]) -> set[Change]:
    """And what adds the rows that they belong to."""
    found = set(chosen)
    for change in chosen:
        found |= with_needed(change.needs)
    return found


def with_needing(chosen: Collection[Change], among: Collection[Change]) -> set[Change]:
    """And what could not be without them."""
    return {change for change in among if with_needed([change]) & set(chosen)}


def plain(name: str, value: Any, kind: Kind) -> Any:
    """As JSON keeps it and people read it."""
    if value in UNSAID:
        return None
    if kind == "price" and name == "overrides":
        return published(value)
    if kind == "price" and isinstance(value, int):
        return value / MILLION if name == "discount" else dollars(value)
    if isinstance(value, Provider):
        return value.slug
    return value if isinstance(value, bool | int | str | list | dict) else str(value)
