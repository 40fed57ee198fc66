"""Tests of `proxy/wire/gemini_schema.py`."""

import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.wire.gemini_schema import (
    PartsLeft,
    is_empty_schema,
    write_json_schema,
    write_openapi_schema,
)


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def openapi(value: object) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(bytes(write_openapi_schema(raw(value), PartsLeft())))
    types.Schema.model_validate(written)
    return written


def test_json_schema_goes_as_it_came() -> None:
    """Where JSON Schema is taken, not one byte of it is changed."""
    schema = Raw(b'{ "type":"object",\n "oneOf": [ {"const": 1.0} ] }')
    assert write_json_schema(schema) is schema


def test_the_name_of_the_standard_is_left_out() -> None:
    """`$schema` says nothing of the value, and all else stays."""
    schema = Raw(b'{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","x":1.0}')
    assert bytes(write_json_schema(schema)) == b'{"type":"object","x":1.0}'
    assert bytes(write_json_schema(Raw(b"true"))) == b"true"


@pytest.mark.parametrize(
    ("schema", "is_empty"),
    [
        ({"type": "object", "properties": {}}, True),
        ({"type": "object", "properties": {}, "additionalProperties": False}, True),
        ({}, True),
        ({"type": "object", "properties": {"a": {}}}, False),
        ({"type": "object", "additionalProperties": {"type": "string"}}, False),
        ({"type": "object", "additionalProperties": True}, False),
        ({"$ref": "#/$defs/a"}, False),
        (True, False),
        (5, False),
    ],
)
def test_a_schema_of_no_arguments_is_told(schema: object, is_empty: bool) -> None:
    """Only an object that can have no member counts as one."""
    assert is_empty_schema(raw(schema)) is is_empty


def test_what_both_know_stays() -> None:
    """Types, bounds and descriptions of the subset are written as they came."""
    schema = {
        "type": "object",
        "description": "d",
        "properties": {
            "city": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 3},
            "unit": {"type": "string", "enum": ["c", "f"]},
        },
        "required": ["city"],
    }
    assert openapi(schema) == schema


def test_what_the_subset_lacks_is_left_out() -> None:
    """Keywords that Google's `Schema` refuses are gone at every depth."""
    schema = {
        "$schema": "x",
        "$id": "y",
        "type": "object",
        "additionalProperties": False,
        "properties": {"a": {"type": "number", "exclusiveMinimum": 0, "examples": [1]}},
        "patternProperties": {"^x": {}},
        "required": ["a", "gone"],
    }
    assert openapi(schema) == {
        "type": "object",
        "properties": {"a": {"type": "number"}},
        "required": ["a"],
    }


def test_references_are_written_out() -> None:
    """Each place that a reference stands in has what it leads to, with what stands beside it."""
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/p", "description": "of a"}, "b": {"$ref": "#/x~1y"}},
        "$defs": {"p": {"$ref": "#/$defs/q"}, "q": {"type": "integer", "description": "q"}},
        "x/y": {"type": "boolean"},
    }
    assert openapi(schema)["properties"] == {
        "a": {"type": "integer", "description": "of a"},
        "b": {"type": "boolean"},
    }


def test_a_reference_to_itself_ends() -> None:
    """A tree's children are objects, of which no more is said."""
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            }
        },
    }
    kids = openapi(schema)["properties"]["kids"]
    assert kids == {"type": "array", "items": {"type": "object"}}


def test_references_that_multiply_are_bounded() -> None:
    """Thirty doublings of one schema make no gigabyte of it."""
    definitions: dict[str, Any] = {"d0": {"type": "string", "description": "x" * 1000}}
    for step in range(1, 31):
        inner = {"$ref": f"#/$defs/d{step - 1}"}
        definitions[f"d{step}"] = {"type": "object", "properties": {"a": inner, "b": inner}}
    written = write_openapi_schema(raw({"$ref": "#/$defs/d30", "$defs": definitions}), PartsLeft())
    assert len(bytes(written)) < 10_000_000


def test_all_schemas_of_a_request_have_one_bound() -> None:
    """What a request has written out once it has not again for each of its tools."""
    definitions: dict[str, Any] = {"d0": {"type": "string", "description": "x" * 1000}}
    for step in range(1, 31):
        inner = {"$ref": f"#/$defs/d{step - 1}"}
        definitions[f"d{step}"] = {"type": "object", "properties": {"a": inner, "b": inner}}
    schema = raw({"$ref": "#/$defs/d30", "$defs": definitions})
    left = PartsLeft()
    write_openapi_schema(schema, left)
    assert bytes(write_openapi_schema(schema, left)) == b'{"type":"object"}'


def test_a_number_that_is_no_float_is_for_gemini_to_refuse() -> None:
    """A schema that cannot be read goes as it came."""
    schema = Raw(b'{"type":"number","minimum":1e999}')
    assert write_openapi_schema(schema, PartsLeft()) is schema


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        (
            {"type": ["string", "integer"]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer"}),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "T"},
            {"type": "integer", "nullable": True, "title": "T"},
        ),
        (
            {"oneOf": [{"type": "integer"}, {"type": "string"}]},
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"type": "object"},
                ]
            },
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        ),
        ({"type": "string", "format": "uuid"}, {"type": "string"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
        ({"$ref": "#/nowhere"}, {"type": "string"}),
        ({"$ref": "https://elsewhere.example/x"}, {"type": "string"}),
        (True, {"type": "object"}),
    ],
    ids=str,
)
def test_what_is_said_in_other_words_is_translated(schema: object, written: object) -> None:
    """Nulls, constants, unions and joins have their counterpart in the subset."""
    assert openapi(schema) == written


_SCHEMAS = st.recursive(
    st.sampled_from([True, {}, {"type": "string"}, {"type": ["null", "integer"]}, {"$ref": "#"}]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", 5]),
            "properties": st.sampled_from([5, {"a": {}}])
            | st.dictionaries(st.text(max_size=2), inner, max_size=2),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "required": st.sampled_from([["a"], [["a"], {}], "a", 5, None]),
            "$ref": st.sampled_from(["#", "#/properties/a", 7]),
            "enum": st.sampled_from([["a"], [1], "x"]),
        },
    ),
    max_leaves=6,
)


@given(_SCHEMAS)
def test_any_json_becomes_an_object(schema: object) -> None:
    """Whatever a client calls a schema, writing it ends, and gives an object."""
    assert isinstance(json.loads(bytes(write_openapi_schema(raw(schema), PartsLeft()))), dict)
