"""YAML with line numbers: typed look-ups that note every problem of a file instead of stopping at the first."""

import datetime
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import yaml

from providers.dollars import PICO, pico
from providers.rates import MILLION

_KINDS = {
    "tag:yaml.org,2002:str": "a text",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:seq": "a list",
    "tag:yaml.org,2002:map": "a mapping",
}
_NULL = "tag:yaml.org,2002:null"
_MOST_COUNT = 2**31 - 1

# What a text must look like: returns the reason why it does not, or None.
Check = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    line: int
    path: str
    reason: str


class Fields:
    """One mapping of the file. A look-up that fails notes a problem and returns a stand-in; `done` notes the rest."""

    def __init__(self, node: yaml.Node, path: str, problems: list[Problem]) -> None:
        self.path = path
        self._line = line_of(node)
        self._problems = problems
        self._asked: set[str] = set()
        self._nodes: dict[str, yaml.Node] = {}
        if not isinstance(node, yaml.MappingNode):
            self._note(self._line, path or "file", f"must be a mapping, not {kind_of(node)}")
            return
        for key, value in node.value:
            self._take(key, value)

    def done(self) -> None:
        for name in self._nodes.keys() - self._asked:
            self.problem(name, "is not a known field")

    def problem(self, name: str, reason: str) -> None:
        self._note(self.line(name), self._at(name), reason)

    def line(self, name: str) -> int:
        node = self._nodes.get(name)
        return self._line if node is None else line_of(node)

    def has(self, name: str) -> bool:
        node = self._nodes.get(name)
        return node is not None and node.tag != _NULL

    def peek(self, name: str) -> str:
        """The scalar as it stands, without a check: for finding duplicates."""
        node = self._nodes.get(name)
        return str(node.value) if isinstance(node, yaml.ScalarNode) else ""

    def text(self, name: str, *, default: str | None = None, longest: int, check: Check | None = None) -> str:
        """Required unless there is a default."""
        node = self._get(name, required=default is None)
        if node is None:
            return default or ""
        value = self._text(node, self._at(name))
        reason = None if value is None else _misfit(value, longest, check)
        if reason:
            self.problem(name, reason)
        return value or ""

    def texts(self, name: str, *, required: bool, choices: Collection[str] | None = None) -> list[str]:
        values = []
        for path, node in self._items(name, required=required):
            value = self._text(node, path)
            if value is None:
                continue
            if choices is not None and value not in choices:
                self._note(line_of(node), path, f"is {value!r}; it must be one of {', '.join(choices)}")
            if value in values:
                self._note(line_of(node), path, f"{value!r} stands here twice")
            values.append(value)
        return values

    def choice(self, name: str, choices: Collection[str], *, default: str | None = None) -> str:
        value = self.text(name, default=default, longest=100)
        if value and value not in choices:
            self.problem(name, f"is {value!r}; it must be one of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool | None:
        node = self._get(name)
        if node is None:
            return None
        if not self._is(node, "bool", self._at(name), "true or false"):
            return None
        return str(node.value).lower() in ("true", "yes", "on")

    def count(self, name: str, *, required: bool = False, least: int = 1) -> int | None:
        node = self._get(name, required=required)
        if node is None or not self._is(node, "int", self._at(name), "a whole number"):
            return None
        if not re.fullmatch(r"\d{1,10}", node.value) or not least <= int(node.value) <= _MOST_COUNT:
            self.problem(name, f"must be a whole number from {least} to {_MOST_COUNT}")
            return None
        return int(node.value)

    def date(self, name: str) -> datetime.date | None:
        node = self._get(name)
        if node is None:
            return None
        try:
            return datetime.date.fromisoformat(node.value)
        except (TypeError, ValueError):
            self.problem(name, "must be a date like 2026-11-22")
            return None

    def price(self, name: str, *, required: bool = False) -> int | None:
        """Pico-USD. Unquoted decimals are refused: YAML would make floats of them, and floats lose money."""
        node = self._get(name, required=required)
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode) or node.style not in ("'", '"'):
            self.problem(name, 'must be a quoted decimal of USD, like "0.000001"')
            return None
        try:
            return pico(node.value)
        except ValueError as error:
            self.problem(name, str(error))
            return None

    def fraction(self, name: str) -> int:
        """Millionths, from "0" to "1"; 0 when it is not there."""
        value = self.price(name)
        if value is None:
            return 0
        if value > PICO or value % (PICO // MILLION):
            self.problem(name, 'must be a fraction from "0" to "1" with at most 6 decimals')
        return value // (PICO // MILLION)

    def plain(self, name: str) -> object:
        """Whatever YAML makes of it; for values that are checked by their reader."""
        node = self._get(name)
        if node is None:
            return None
        try:
            return yaml.SafeLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            self.problem(name, f"cannot be read: {error}")
            return None

    def mapping(self, name: str) -> "Fields | None":
        node = self._get(name)
        return None if node is None else Fields(node, self._at(name), self._problems)

    def rows(self, name: str) -> "list[Fields]":
        return [Fields(node, path, self._problems) for path, node in self._items(name, required=False)]

    def _take(self, key: yaml.Node, value: yaml.Node) -> None:
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if name is None:
            self._note(line_of(key), self.path or "file", "has a key that is no text")
        elif name in self._nodes:
            self._note(line_of(key), self._at(name), f"stands here twice; first on line {self.line(name)}")
        else:
            self._nodes[name] = value

    def _get(self, name: str, *, required: bool = False) -> yaml.Node | None:
        self._asked.add(name)
        if self.has(name):
            return self._nodes[name]
        if required:
            self.problem(name, "is missing")
        return None

    def _items(self, name: str, *, required: bool) -> list[tuple[str, yaml.Node]]:
        node = self._get(name, required=required)
        if node is None or not self._is(node, "seq", self._at(name), "a list"):
            return []
        return [(f"{self._at(name)}[{index}]", item) for index, item in enumerate(node.value)]

    def _text(self, node: yaml.Node, path: str) -> str | None:
        return str(node.value) if self._is(node, "str", path, "a text (quote it)") else None

    def _is(self, node: yaml.Node, tag: str, path: str, wanted: str) -> bool:
        if node.tag == f"tag:yaml.org,2002:{tag}":
            return True
        self._note(line_of(node), path, f"must be {wanted}, not {kind_of(node)}")
        return False

    def _at(self, name: str) -> str:
        return ".".join(filter(None, (self.path, name)))

    def _note(self, line: int, path: str, reason: str) -> None:
        self._problems.append(Problem(line, path, reason))


def line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def kind_of(node: yaml.Node) -> str:
    return "empty" if node.tag == _NULL else _KINDS.get(node.tag, "something else")


def _misfit(value: str, longest: int, check: Check | None) -> str | None:
    if not value.strip() or "\0" in value:
        return "must not be empty"
    if len(value) > longest:
        return f"has {len(value)} characters; {longest} is the most"
    return check(value) if check else None
