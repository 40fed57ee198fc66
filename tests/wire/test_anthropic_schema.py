"""Tests of `proxy/wire/anthropic_schema.py`."""

import json
from typing import Any

import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.wire.anthropic_schema import write_strict_schema


def write(schema: Any) -> Any:
    return json.loads(bytes(write_strict_schema(Raw(json.dumps(schema).encode()))))


CLOSED = {"additionalProperties": False}
NAMED: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_what_is_known_stays_the_bytes_that_came() -> None:
    """A schema of nothing but what Anthropic takes is not written anew."""
    raw = Raw(
        b'{ "type":"object","properties":{"a":{"type":["integer","null"],"enum":[1,null]},'
        b'"b":{"$ref":"#/$defs/B"},"c":{"type":"array","minItems":1,"items":{"type":"string",'
        b'"format":"date"}}},"required":["a"],"additionalProperties":false,'
        b'"$defs":{"B":{"anyOf":[{"const":1},{"type":"null"}],"title":"B"}}}'
    )
    assert write_strict_schema(raw) is raw


def test_bounds_are_told_and_not_demanded() -> None:
    """Keywords that are refused stand in the description, behind what it says itself."""
    assert write({"type": "integer", "minimum": 1, "maximum": 9, "description": "A number"}) == {
        "type": "integer",
        "description": "A number\n\n{minimum: 1, maximum: 9}",
    }
    assert write({"type": "string", "pattern": "^a", "format": "color"}) == {
        "type": "string",
        "description": '{pattern: "^a", format: "color"}',
    }
    assert write(
        {"type": "array", "minItems": 3, "items": {"type": "number", "multipleOf": 2}}
    ) == {
        "type": "array",
        "items": {"type": "number", "description": "{multipleOf: 2}"},
        "description": "{minItems: 3}",
    }


@pytest.mark.parametrize("others", [{}, {"additionalProperties": True}])
def test_objects_take_no_other_properties(others: dict[str, Any]) -> None:
    """It must be said of each object, at any depth."""
    inner = NAMED | others
    found = write(
        {"type": "object", "properties": {"a": inner, "b": {"type": "array", "items": inner}}}
    )
    closed = NAMED | CLOSED
    assert found == CLOSED | {
        "type": "object",
        "properties": {"a": closed, "b": {"type": "array", "items": closed}},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ],
)
def test_objects_of_any_names_are_not_emptied(schema: dict[str, Any]) -> None:
    """Where any name may come nothing is closed: it would be an object that is always empty."""
    assert write(schema) == schema


def test_alternatives_and_parts() -> None:
    """`oneOf` is `anyOf`; parts that must all fit do not shut each other out."""
    assert write({"oneOf": [NAMED, {"type": "null"}]}) == {
        "anyOf": [NAMED | CLOSED, {"type": "null"}]
    }
    assert write({"allOf": [NAMED, NAMED]}) == {"allOf": [NAMED, NAMED]}
    assert write({"allOf": [NAMED]}) == {"allOf": [NAMED | CLOSED]}


def test_beside_a_reference_stands_nothing() -> None:
    """But for the schemas that it leads to."""
    found = write({"$ref": "#/$defs/A", "title": "x", "$schema": "y", "$defs": {"A": NAMED}})
    assert found == {"$ref": "#/$defs/A", "$defs": {"A": NAMED | CLOSED}}


@pytest.mark.parametrize("raw", [b"[]", b"null", b"1", b"{", b'{"maximum":1e999}'])
def test_what_is_no_schema_stays(raw: bytes) -> None:
    """Anthropic's own words say best what is wrong with it."""
    assert bytes(write_strict_schema(Raw(raw))) == raw


def test_numbers_of_any_size_stay() -> None:
    """One that is too large to be written anew leaves its schema as it came."""
    raw = Raw(b'{"type":"integer","maximum":' + b"9" * 40 + b"}")
    assert bytes(write_strict_schema(raw)) in (
        bytes(raw),
        b'{"type":"integer","description":"{maximum: ' + b"9" * 40 + b'}"}',
    )


_LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "format": "uuid"},
        {"type": "integer", "description": "d"},
        {"enum": ["a", 1, None]},
        {"const": True},
    ]
)
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(st.sampled_from("abc"), inner),
            },
            optional={"required": st.just(["a"]), "additionalProperties": st.booleans()},
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=8,
)


@given(_SCHEMAS)
def test_the_vendors_own_sdk_writes_the_same(schema: dict[str, Any]) -> None:
    """What Anthropic's Python SDK makes of a schema without bounds is what this makes of it."""
    assert write(schema) == transform_schema(schema)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs"),
                    *("format", "minItems", "description", "additionalProperties", "x"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_nothing_makes_it_fail(schema: Any) -> None:
    """Whatever a client calls a schema, something is sent."""
    write(schema)
