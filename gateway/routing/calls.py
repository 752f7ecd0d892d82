"""Whether a model called the tools that it was offered, as they were offered (reference §4.6).

Of JSON Schema what decides in practice: types, what is required, what else may be there, choices. Patterns and
references are left alone: they are the client's, and this runs between requests of others.
"""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.generation import Call, Generation

# A schema is looked into so deep, and an answer up to so many values.
DEEPEST = 12
MOST_VALUES = 2000
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}

decode = msgspec.json.Decoder().decode


def are_valid(generation: Generation) -> bool:
    """Each call names a function that was offered, with arguments that are JSON and fit its schema."""
    offered = {
        tool.function.name: tool.function.parameters for tool in generation.request.chat.tools or () if tool.function
    }
    return all(call.name in offered and is_valid(call, offered[call.name]) for call in generation.calls.values())


def is_valid(call: Call, parameters: dict[str, Raw] | None) -> bool:
    try:
        arguments = decode("".join(call.arguments) or "{}")
        schema = {name: decode(raw) for name, raw in (parameters or {}).items()}
        return Fitting().fits(arguments, schema)
    except (msgspec.DecodeError, RecursionError):
        return False


class Fitting:
    def __init__(self) -> None:
        self._left = MOST_VALUES

    def fits(self, value: Any, schema: Any, depth: int = 0) -> bool:
        """What is not understood of a schema is no reason to find fault."""
        self._left -= 1
        if not isinstance(schema, dict) or depth > DEEPEST or self._left < 0:
            return schema is not False
        if not is_of_type(value, schema.get("type")):
            return False
        choices = schema.get("enum")
        if isinstance(choices, list) and value not in choices:
            return False
        if "const" in schema and value != schema["const"]:
            return False
        if isinstance(value, dict):
            return self._members_fit(value, schema, depth)
        if isinstance(value, list) and isinstance(items := schema.get("items"), dict | bool):
            return all(self.fits(one, items, depth + 1) for one in value)
        return True

    def _members_fit(self, value: dict[str, Any], schema: dict[str, Any], depth: int) -> bool:
        required = schema.get("required")
        if isinstance(required, list) and any(isinstance(name, str) and name not in value for name in required):
            return False
        known = schema.get("properties")
        known = known if isinstance(known, dict) else {}
        # By a pattern a member may be known, too.
        others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        return all(self.fits(member, known.get(name, others), depth + 1) for name, member in value.items())


def is_of_type(value: Any, wanted: Any) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    types = [TYPES[name] for name in names if isinstance(name, str) and name in TYPES]
    if not types:
        return True
    if isinstance(value, bool):
        return (bool,) in types
    if isinstance(value, float) and value.is_integer() and (int,) in types:
        return True
    return any(isinstance(value, one) for one in types)
