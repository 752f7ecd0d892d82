"""Which tool calls count as valid: the name was offered, the arguments are JSON and fit the schema."""

from typing import Any

import pytest

from gateway.routing.calls import DEEPEST, Fitting


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "object"}, [{}, {"a": 1}], [[], "x", None, 1]),
        ({"type": "string"}, ["", "x"], [1, None, ["x"]]),
        ({"type": "integer"}, [1, -5, 3.0], [1.5, "1", True]),
        ({"type": "number"}, [1, 1.5], ["1", False]),
        ({"type": "boolean"}, [True, False], [0, 1, "true"]),
        ({"type": ["string", "null"]}, ["x", None], [1]),
        ({"enum": ["a", 5]}, ["a", 5], ["b", None]),
        ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [2]}]),
        ({"required": ["a"]}, [{"a": None}, "not an object"], [{}, {"b": 1}]),
        ({"properties": {"a": {"type": "string"}}}, [{}, {"a": "x"}, {"b": 1}], [{"a": 1}]),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            [{}, {"a": 1}],
            [{"b": 1}, {"a": 1, "b": 2}],
        ),
        ({"additionalProperties": {"type": "integer"}}, [{"x": 1}], [{"x": "1"}]),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, [{"xa": 1}, {"y": 1}], []),
        ({"items": {"type": "integer"}}, [[], [1, 2]], [[1, "2"]]),
        (
            {"properties": {"of": {"items": {"properties": {"it": {"type": "null"}}, "required": ["it"]}}}},
            [{"of": [{"it": None}]}],
            [{"of": [{}]}, {"of": [{"it": None}, {"it": 1}]}],
        ),
        # What is not understood, or makes no sense, finds no fault.
        ({"type": "date", "required": "a", "properties": [], "enum": 1, "$ref": "http://x"}, [{}, [], 1, "x"], []),
        ({"pattern": "(a+)+$", "minLength": 100}, ["a" * 50 + "b"], []),
    ],
)
def test_arguments_fit(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert Fitting().fits(value, schema), value
    for value in bad:
        assert not Fitting().fits(value, schema), value


def test_it_looks_so_far_and_no_further() -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema}
    deep: Any = 5
    for _ in range(DEEPEST + 1):
        deep = {"a": deep}
    assert Fitting().fits(deep, schema)
    assert not Fitting().fits(deep["a"], schema)
    wide = [0] * 10_000 + ["x"]
    assert Fitting().fits(wide, {"items": {"type": "integer"}})
