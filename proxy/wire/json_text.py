"""
JSON objects as `name -> raw bytes`: parsed once, rebuilt by us, never re-encoded inside.

What we do not decide on stays byte-identical: numbers keep their digits, strings their
escapes. A duplicated top-level name cannot mean one thing to us and another to a provider,
because what goes out is written from what we read.
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

MAX_DEPTH = 64

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_ESCAPES = re.compile(rb"\\.", re.DOTALL)
_STRINGS = re.compile(rb'"[^"]*"')
_INNERMOST = re.compile(rb"\{\}|\[\]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))


class JsonError(ValueError):
    """A text that is not the JSON that we take; the message names no content."""


def parse_object(text: bytes) -> dict[str, Raw]:
    """
    Split the top level of a JSON object into `name -> raw bytes`.

    Args:
        text: a whole JSON document in UTF-8.

    Returns:
        Every top-level name with the bytes of its value, in order of first appearance;
        of a name that comes twice the last value.

    Raises:
        JsonError: not an object, not valid JSON, not UTF-8, or nested deeper than
            MAX_DEPTH. NaN and Infinity are not JSON.

    Source: RFC 8259; tests/wire/test_json_text.py.
    """
    if not text.isascii():
        check_utf8(text)
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        check_depth(text)
    try:
        return _decode_object(text)
    except msgspec.ValidationError:
        raise JsonError("The body must be a JSON object.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise JsonError(f"The body is not valid JSON: {_place(error)}.") from None


def build_object(fields: Mapping[str, Raw | bytes]) -> bytes:
    """
    Write a JSON object from names and raw values; the inverse of `parse_object`.

    Args:
        fields: names in the order they are to be written, each with the bytes of a valid
            JSON value.
    """
    return b"{" + b",".join([_encode(name) + b":" + bytes(raw) for name, raw in fields.items()]) + b"}"


def encode(value: object) -> bytes:
    """Return a value of ours as JSON bytes."""
    return _encode(value)


def check_utf8(text: bytes) -> None:
    """Raise JsonError unless the bytes are UTF-8; the message says where they are not."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"The body is not valid UTF-8 at byte {error.start}.") from None


def check_depth(text: bytes, limit: int = MAX_DEPTH) -> None:
    """
    Raise JsonError if brackets nest deeper than `limit`.

    Only structure is looked at: all else is deleted first, strings with it, then each round
    removes the innermost pairs, which is one level. Every round runs in C and shrinks the
    text, so that a hostile body costs little more than a friendly one. Brackets that do not
    match are left to the parser, which says where they are.
    """
    structure = _ESCAPES.sub(b"", text) if b"\\" in text else text
    structure = _STRINGS.sub(b"", structure.translate(None, _NOT_STRUCTURE))
    for _ in range(limit):
        shorter = _INNERMOST.sub(b"", structure)
        if len(shorter) == len(structure):
            return
        structure = shorter
    if structure:
        raise JsonError(f"The body nests deeper than {limit} levels.")


def _place(error: Exception) -> str:
    """Return where msgspec stopped; its messages hold a byte position and no content."""
    return str(error).removeprefix("JSON is malformed: ") or "it nests too deeply"
