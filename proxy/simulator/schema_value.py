"""
Writes a JSON value that fits a JSON schema.

Understood: type, enum, const, properties, required, additionalProperties, items,
prefixItems, minItems, maxItems, uniqueItems, minLength, maxLength, format, minimum,
maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, $ref (inside the document), anyOf,
oneOf, allOf. `pattern`, `not`, `contains` and the rest are not looked at. `choice.py` calls it.

Source: JSON Schema 2020-12; tests/simulator/test_schema_value.py.
"""

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from proxy.simulator.schema_number import NumberError, pick_integer, pick_number
from proxy.simulator.schema_text import write_text

_DEEP = 5
_TOO_DEEP = 60
_MANY_VALUES = 2_000
_TOO_MANY_VALUES = 20_000

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A schema that is malformed, has no end, or asks for something enormous."""


def build_value(schema: Schema, chance: random.Random, hint: str = "") -> Any:
    """
    Return a JSON value that is valid for `schema`.

    Args:
        schema: a whole schema document; `$ref` is resolved inside it.
        chance: where choices between good values come from.
        hint: what the user said; texts are taken from it where that makes sense.

    Raises:
        SchemaError: the schema is malformed, endless or too large.
    """
    try:
        return _Writer(schema, chance, hint).write(schema, 0, "")
    except NumberError as error:
        raise SchemaError(str(error)) from None


class _Writer:
    def __init__(self, root: Schema, chance: random.Random, hint: str) -> None:
        self._root = root
        self._chance = chance
        self._hint = hint
        self._count = 0
        self._by_type: dict[str, Callable[[Schema, int, str], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": lambda schema, depth, name: pick_integer(schema, self._chance),
            "number": lambda schema, depth, name: pick_number(schema, self._chance),
            "boolean": lambda schema, depth, name: self._chance.random() < 0.5,
            "null": lambda schema, depth, name: None,
        }

    def write(self, schema: object, depth: int, name: str) -> Any:
        self._count += 1
        if depth > _TOO_DEEP:
            raise SchemaError("it has no end (a required part contains itself).")
        if self._count > _TOO_MANY_VALUES:
            raise SchemaError(f"it asks for more than {_TOO_MANY_VALUES} values.")
        flat = self._flatten(schema, depth)
        if "const" in flat:
            return flat["const"]
        choices = flat.get("enum")
        if isinstance(choices, list) and choices:
            return self._chance.choice(choices)
        write = self._by_type.get(_type_of(flat))
        if write is None:
            raise SchemaError(f"'{_type_of(flat)}' is no type.")
        return write(flat, depth, name)

    def _is_deep(self, depth: int) -> bool:
        return depth >= _DEEP or self._count > _MANY_VALUES

    def _flatten(self, schema: object, depth: int) -> Schema:
        """Return the schema with $ref, allOf and one branch of anyOf / oneOf merged in."""
        for _ in range(_TOO_DEEP):
            if schema is True:
                return {}
            if not isinstance(schema, dict):
                raise SchemaError("a part of it is not an object.")
            if "$ref" in schema:
                schema = _merge(self._resolve(schema["$ref"]), _without(schema, "$ref"))
            elif isinstance(schema.get("allOf"), list):
                merged = _without(schema, "allOf")
                for part in schema["allOf"]:
                    merged = _merge(merged, self._flatten(part, depth))
                schema = merged
            elif (key := _branch_key(schema)) is not None:
                branch = self._pick(schema[key], depth)
                schema = _merge(_without(schema, key), branch)
            else:
                return schema
        raise SchemaError("a '$ref' leads back to itself.")

    def _pick(self, branches: list[object], depth: int) -> Schema:
        dicts = [branch for branch in branches if isinstance(branch, dict)]
        if not dicts:
            raise SchemaError("an 'anyOf' or 'oneOf' has no branch.")
        if self._is_deep(depth):
            return min(dicts, key=self._weight)
        return next((branch for branch in dicts if branch.get("type") != "null"), dicts[0])

    def _weight(self, branch: Schema) -> int:
        """Tell how likely a branch is to grow: scalars first, references last."""
        if "const" in branch or "enum" in branch:
            return 0
        if "$ref" in branch or _branch_key(branch) is not None or "allOf" in branch:
            return 3
        return {"object": 2, "array": 1}.get(_type_of(branch), 0)

    def _resolve(self, ref: object) -> Schema:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise SchemaError("only a '$ref' that begins with '#' can be followed.")
        found: object = self._root
        for token in unquote(ref[1:]).split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise SchemaError(f"'{ref}' leads nowhere.")
        if found is True:
            return {}
        if not isinstance(found, dict):
            raise SchemaError(f"'{ref}' does not lead to a schema.")
        return found

    def _object(self, schema: Schema, depth: int, name: str) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise SchemaError("'properties' must be an object, 'required' a list.")
        keys = [key for key in properties if key in required or not self._is_deep(depth)]
        keys += [key for key in required if key not in properties]
        others = schema.get("additionalProperties")
        default: object = others if isinstance(others, dict) else {}
        return {
            str(key): self.write(properties.get(key, default), depth + 1, str(key)) for key in keys
        }

    def _array(self, schema: Schema, depth: int, name: str) -> list[Any]:
        least = _whole(schema, "minItems", 0)
        most = _whole(schema, "maxItems", max(least, 2))
        first = schema.get("prefixItems", [])
        if not isinstance(first, list):
            raise SchemaError("'prefixItems' must be a list.")
        count = least if self._is_deep(depth) else min(max(2, least, len(first)), most)
        rest = schema.get("items", True)
        if rest is False:
            count = min(count, len(first))
        values: list[Any] = []
        for number in range(count):
            part = first[number] if number < len(first) else rest
            value = self.write(part, depth + 1, name)
            tries = 0
            while schema.get("uniqueItems") is True and value in values and tries < 100:
                value = self.write(part, depth + 1, name)
                tries += 1
            values.append(value)
        if schema.get("uniqueItems") is True and count > least:
            values = _drop_repeats(values)
        return values

    def _string(self, schema: Schema, depth: int, name: str) -> str:
        least = _whole(schema, "minLength", 0)
        most = _whole(schema, "maxLength", 1_000_000)
        text = write_text(name, schema.get("format"), self._hint, self._chance)
        return text.ljust(least, "a")[:most]


def _type_of(schema: Schema) -> str:
    found = schema.get("type")
    if isinstance(found, list):
        found = next((name for name in found if name != "null"), "null")
    if isinstance(found, str):
        return found
    for key, name in _TELLTALES.items():
        if key in schema:
            return name
    return "string"


_TELLTALES = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}


def _branch_key(schema: Schema) -> str | None:
    return next((key for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list)), None)


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}


def _merge(first: Schema, second: Schema) -> Schema:
    """Return both schemas as one: properties and required add up, else the second wins."""
    merged = {**first, **second}
    for key in ("properties", "required"):
        mine, other = first.get(key), second.get(key)
        if isinstance(mine, dict) and isinstance(other, dict):
            merged[key] = {**mine, **other}
        elif isinstance(mine, list) and isinstance(other, list):
            merged[key] = [*mine, *(name for name in other if name not in mine)]
    return merged


def _whole(schema: Schema, key: str, default: int) -> int:
    value = schema.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or value < 0:
        raise SchemaError(f"'{key}' must be a whole number, not below 0.")
    if key.startswith("min") and value > _TOO_MANY_VALUES:
        raise SchemaError(f"'{key}' is above {_TOO_MANY_VALUES}.")
    return value


def _drop_repeats(values: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept
