"""Values fit their JSON schema; pydantic, which made the schemas, is the judge."""

import json
import random
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from proxy.simulator.schema_value import SchemaError, build_value


class Leaf(BaseModel):
    """An object with every simple type."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str
    whole: Annotated[int, Field(ge=3, lt=9)]
    number: Annotated[float, Field(gt=0, le=1)]
    flag: bool
    nothing: None
    kind: Literal["a", "b"]
    maybe: str | None
    short: Annotated[str, Field(min_length=3, max_length=4)]
    step: Annotated[int, Field(multiple_of=7)]


class Tree(BaseModel):
    """An object that contains itself, in a list and as an option."""

    model_config = ConfigDict(extra="forbid")
    name: str
    leaf: Leaf
    children: list["Tree"]
    parent: "Tree | None"


class Mixed(BaseModel):
    """Lists, tuples, dictionaries and unions of objects."""

    leaves: Annotated[list[Leaf], Field(min_length=3)]
    pair: tuple[int, str]
    either: Leaf | int
    several: Annotated[list[Literal["x", "y", "z"]], Field(max_length=1)]
    table: dict[str, int]


@pytest.mark.parametrize("model", [Leaf, Tree, Mixed])
@pytest.mark.parametrize("seed", range(10))
def test_values_validate(model: type[BaseModel], seed: int) -> None:
    """What is written for a model's schema is an instance of that model."""
    value = build_value(model.model_json_schema(), random.Random(seed))
    model.model_validate_json(json.dumps(value))


_LEAF_SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["null", "integer"]},
        {"enum": [1, "two", None]},
        {"const": "only"},
    ]
)
_SCHEMAS = st.recursive(
    _LEAF_SCHEMAS,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda parts: {"type": "object", "properties": parts, "required": list(parts)},
            st.dictionaries(st.text(max_size=5), inner, max_size=4),
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(_SCHEMAS, st.integers(0, 5))
def test_any_schema_is_met(schema: dict[str, Any], seed: int) -> None:
    """Nested objects, lists, unions and simple types of any combination are met."""
    assert _fits(build_value(schema, random.Random(seed)), schema)


def test_references_are_followed() -> None:
    """`$ref` leads to any place in the document, also through escapes and to the root."""
    schema = {
        "$defs": {"a/b": {"type": "integer"}, "list": [{"const": 5}]},
        "type": "object",
        "properties": {
            "one": {"$ref": "#/$defs/a~1b", "minimum": 40},
            "two": {"$ref": "#/$defs/list/0"},
            "again": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "required": ["one", "two", "again"],
    }
    value = build_value(schema, random.Random(1))
    assert value["one"] >= 40
    assert value["two"] == 5
    assert set(value["again"]) == {"one", "two", "again"}


def test_all_of_adds_up() -> None:
    """`allOf` gives an object that meets all its parts."""
    parts = [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
    ]
    value = build_value({"allOf": parts}, random.Random(1))
    assert isinstance(value["a"], int)
    assert isinstance(value["b"], bool)


def test_unique_items_are_unique() -> None:
    """`uniqueItems` is kept where there are enough values."""
    schema = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True}
    assert sorted(build_value(schema, random.Random(3))) == [1, 2, 3]


@pytest.mark.parametrize("schema", [{}, {"description": "anything"}])
def test_open_schemas_get_something(schema: dict[str, Any]) -> None:
    """A schema that asks for nothing gets a text."""
    assert isinstance(build_value(schema, random.Random(1)), str)


_ENDLESS = {
    "$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
    "$ref": "#/$defs/n",
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "elephant"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"properties": [], "type": "object"},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": -1},
        {"anyOf": []},
        {"properties": {"x": 5}},
        {"type": "integer", "minimum": 2, "maximum": 1},
        _ENDLESS,
        {"type": "array", "minItems": 200, "items": {"type": "array", "minItems": 200}},
    ],
)
def test_impossible_schemas_are_errors(schema: dict[str, Any]) -> None:
    """Malformed, endless and enormous schemas end in an error, soon."""
    with pytest.raises(SchemaError):
        build_value(schema, random.Random(1))


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "anyOf" in schema:
        return any(_fits(value, part) for part in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if schema["type"] == "array":
        return len(value) >= 1 and all(_fits(item, schema["items"]) for item in value)
    if schema["type"] == "object":
        parts = schema["properties"]
        return set(value) == set(parts) and all(_fits(value[key], parts[key]) for key in parts)
    kinds: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return any(value is None if name == "null" else type(value) is kinds[name] for name in names)
