"""
JSON schemas as Gemini takes them.

Gemini 2.5 and later take JSON Schema itself, in `parametersJsonSchema` and `responseJsonSchema`:
there a schema goes as it came, but for its `$schema`, which only names the standard. What they do
not know of it is their business. That loses nothing, where the older fields refuse every keyword
they do not know; so those are used only for models before 2.5, which have no others, and get
the subset of OpenAPI 3.0 that Google's `Schema` has.
"""

from typing import Any

import msgspec
from msgspec import Raw

from proxy.wire.json_text import build_object

MAX_PARTS = 100_000
"""References may name one schema from many places: so much of a request is written out at most."""
MAX_DEPTH = 32

_KEPT = frozenset(
    (
        *("title", "description", "format", "pattern"),
        *("nullable", "required", "propertyOrdering"),
        *("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"),
        *("minProperties", "maxProperties"),
    )
)
_LONGEST_EMPTY_BYTES = 4096
"""A schema that says nothing is not longer: no other is taken apart to see whether it does."""
_TEXTS = ("title", "description", "format", "pattern")
_UNIONS = ("anyOf", "oneOf")

_decode_any = msgspec.json.Decoder().decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode


def is_empty_schema(schema: Raw) -> bool:
    """Return whether it describes an object without any property: older models refuse such."""
    if len(memoryview(schema)) > _LONGEST_EMPTY_BYTES:
        return False
    try:
        found = _decode_any(schema)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    says_more = found.keys() - {"type", "properties", "required", "additionalProperties", "$schema"}
    says_more -= {"title", "description", "strict"}
    takes_any = found.get("additionalProperties") not in (None, False)
    return not (says_more or takes_any or found.get("properties") or found.get("required"))


def write_json_schema(schema: Raw) -> Raw:
    """Return a schema for a field that takes JSON Schema: as it came, without `$schema`."""
    try:
        fields = _decode_object(schema)
    except (ValueError, RecursionError):
        return schema
    if fields.pop("$schema", None) is None:
        return schema
    return Raw(build_object(fields))


class PartsLeft:
    """How much of a request's schemas may still be written out: it has up to 2048 of them."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = MAX_PARTS


def write_openapi_schema(schema: Raw, left: PartsLeft) -> Raw:
    """
    Return what of a JSON schema the subset of OpenAPI can say.

    References are written out; of one that leads to itself nothing but its type is left.
    `allOf` is joined, `oneOf` becomes `anyOf`, a null among types `nullable`, `const` an
    `enum`; everything else that the subset lacks is left out, so that it only grows wider. What
    cannot be read, such as a number that is no float, is returned as it is: Gemini refuses it.

    Args:
        schema: of a tool's parameters, or of an answer.
        left: of the request; behind its end all that is said of a value is that it is an object.

    Source: wire-formats §3.2; tests/wire/test_gemini_schema.py.
    """
    try:
        found = _decode_any(schema)
    except (ValueError, RecursionError):
        return schema
    writer = _Writer(found if isinstance(found, dict) else {}, left)
    return Raw(_encode(writer.write(found, 0, ())))


class _Writer:
    def __init__(self, root: dict[str, Any], left: PartsLeft) -> None:
        self._root = root
        self._left = left

    def write(self, schema: Any, depth: int, followed: tuple[str, ...]) -> dict[str, Any]:
        self._left.count -= _weigh(schema)
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._left.count < 0:
            return {"type": "object"}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in followed:
                return {"type": "object"}
            target = self._find(reference)
            followed = (*followed, reference)
            schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
            if "$ref" in target:
                schema["$ref"] = target["$ref"]
                return self.write(schema, depth + 1, followed)
        schema = _join_all(schema)
        self._left.count -= _weigh(schema)
        written = {name: value for name, value in schema.items() if name in _KEPT}
        _write_type(schema, written)
        self._write_parts(schema, written, depth, followed)
        if "type" not in written and "anyOf" not in written:
            written["type"] = "object" if "properties" in written else "string"
        return written

    def _write_parts(
        self, schema: dict[str, Any], written: dict[str, Any], depth: int, followed: tuple[str, ...]
    ) -> None:
        properties = schema.get("properties")
        if isinstance(properties, dict) and properties:
            written["properties"] = {
                name: self.write(value, depth + 1, followed) for name, value in properties.items()
            }
            required = written.get("required")
            if isinstance(required, list):
                written["required"] = [
                    name for name in required if isinstance(name, str) and name in properties
                ]
        else:
            written.pop("required", None)
        if "items" in schema or written.get("type") == "array":
            written["items"] = self.write(schema.get("items", {}), depth + 1, followed)
        for union in _UNIONS:
            options = schema.get(union)
            if isinstance(options, list):
                self._write_union(options, written, depth, followed)

    def _write_union(
        self, options: list[Any], written: dict[str, Any], depth: int, followed: tuple[str, ...]
    ) -> None:
        real = [o for o in options if not (isinstance(o, dict) and o.get("type") == "null")]
        if len(real) < len(options):
            written["nullable"] = True
        inner = [self.write(option, depth + 1, followed) for option in real]
        if len(inner) == 1:
            written.update({k: v for k, v in inner[0].items() if k not in written})
        elif inner:
            written["anyOf"] = inner

    def _find(self, reference: str) -> dict[str, Any]:
        """Return what a reference within the schema leads to, an empty schema if to nothing."""
        found: Any = self._root
        if not reference.startswith("#"):
            return {}
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}


def _weigh(schema: Any) -> int:
    """Return how much of MAX_PARTS it takes to write this schema, without those in it."""
    if not isinstance(schema, dict):
        return 1
    weight = 1 + len(schema)
    for name in (*_TEXTS, "enum", "required", "propertyOrdering", "allOf"):
        value = schema.get(name)
        if isinstance(value, str):
            weight += len(value) // 32
        elif isinstance(value, list):
            weight += sum(1 + len(item) // 32 for item in value if isinstance(item, str | dict))
    return weight


def _join_all(schema: dict[str, Any]) -> dict[str, Any]:
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema
    joined: dict[str, Any] = {}
    for part in (*parts, {k: v for k, v in schema.items() if k != "allOf"}):
        if not isinstance(part, dict):
            continue
        properties = {
            **_read_object(joined.get("properties")),
            **_read_object(part.get("properties")),
        }
        required = [*_read_list(joined.get("required")), *_read_list(part.get("required"))]
        joined.update(part)
        if properties:
            joined["properties"] = properties
        if required:
            joined["required"] = required
    return joined


def _write_type(schema: dict[str, Any], written: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [item for item in kind if item != "null" and isinstance(item, str)]
        if len(kinds) < len(kind):
            written["nullable"] = True
        if len(kinds) == 1:
            written["type"] = kinds[0]
        elif kinds:
            written["anyOf"] = [{"type": item} for item in kinds]
    elif isinstance(kind, str):
        written["type"] = kind
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    # Only words can be listed there.
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        written["enum"] = values
        written.setdefault("type", "string")
    if written.get("type") == "string" and written.get("format") not in ("enum", "date-time"):
        written.pop("format", None)


def _read_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _read_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
