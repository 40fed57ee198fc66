"""
JSON schemas as Anthropic takes them where a model is held to one.

Of a schema with a keyword that it does not know it refuses the whole request. Its own SDKs write
those into descriptions, where a model reads them; so does this.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.wire.json_text import encode

Json = dict[str, Any]

_KEPT = frozenset(("type", "enum", "const", "description", "title", "required"))
_MAPS = frozenset(("properties", "$defs", "definitions"))
_SILENT = frozenset(("$schema", "$id", "$comment", "additionalProperties"))
"""Nothing is lost with them, or it is looked at by itself."""
_FORMATS = frozenset(
    (
        *("date-time", "time", "date", "duration", "email"),
        *("hostname", "uri", "ipv4", "ipv6", "uuid"),
    )
)

_decode_any = msgspec.json.Decoder().decode


def write_strict_schema(schema: Raw) -> Raw:
    """
    Return a schema for an answer, or the arguments of a call, that must fit it.

    What Anthropic does not know of it stands in descriptions instead: the model may keep to it.
    Objects with properties take no others; one that has none named and takes any stays as it is,
    since there is nothing that it could be narrowed to.

    Args:
        schema: the client's. One that is no object, or that cannot be read, is returned as it is.

    Source: wire-formats §3.1; Anthropic's SDK, `transform_schema`;
    tests/wire/test_anthropic_schema.py.
    """
    try:
        found = _decode_any(schema)
        written = _write(found, closes=True)
        return schema if written == found else Raw(encode(written))
    except (ValueError, RecursionError, OverflowError):
        return schema


def _write(schema: Any, *, closes: bool) -> Any:
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        kept = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
        return {"$ref": schema["$ref"], **_write(kept, closes=closes)}
    written: Json = {}
    told: Json = {}
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, dict):
            written[name] = {key: _write(each, closes=True) for key, each in value.items()}
        elif name in ("anyOf", "oneOf") and isinstance(value, list) and "anyOf" not in written:
            written["anyOf"] = [_write(each, closes=closes) for each in value]
        elif name == "allOf" and isinstance(value, list):
            # Parts that each took no others would have no answer that fits all of them.
            alone = closes and len(value) == 1
            written["allOf"] = [_write(each, closes=alone) for each in value]
        elif name == "items":
            written["items"] = _write(value, closes=True)
        elif name in _KEPT or _is_known(name, value):
            written[name] = value
        elif name not in _SILENT:
            told[name] = value
    _close(schema, written, closes=closes)
    if told:
        written["description"] = _tell(schema.get("description"), told.items())
    return written


def _is_known(name: str, value: Any) -> bool:
    if name == "format":
        return isinstance(value, str) and value in _FORMATS
    return name == "minItems" and isinstance(value, int) and value in (0, 1)


def _close(schema: Json, written: Json, *, closes: bool) -> None:
    others = schema.get("additionalProperties")
    if others is False or (closes and "properties" in written):
        written["additionalProperties"] = False
    elif others is not None:
        written["additionalProperties"] = others


def _tell(description: Any, told: Iterable[tuple[str, Any]]) -> str:
    words = ", ".join(f"{name}: {encode(value).decode()}" for name, value in told)
    return f"{description}\n\n{{{words}}}" if isinstance(description, str) else f"{{{words}}}"
