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
_SURROGATES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_VALLEYS = tuple(b"]" * width + b"[" * width for width in (32, 16, 8, 4, 2, 1))
_BLOCK_BYTES = 1 << 20


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
            MAX_DEPTH. NaN and Infinity are not JSON, and half of a surrogate pair is no
            character.

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
        raise JsonError(f"The body is not valid JSON: {_place(error, text)}.") from None


def build_object(fields: Mapping[str, Raw | bytes]) -> bytes:
    """
    Write a JSON object from names and raw values; the inverse of `parse_object`.

    Args:
        fields: names in the order they are to be written, each with the bytes of a valid
            JSON value.
    """
    members = [_encode(name) + b":" + bytes(raw) for name, raw in fields.items()]
    return b"{" + b",".join(members) + b"}"


def encode(value: object) -> bytes:
    """Return a value of ours as JSON bytes."""
    return _encode(value)


def check_utf8(text: bytes) -> None:
    """Raise JsonError unless the bytes are UTF-8; the message says where they are not."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"The body is not valid UTF-8 at byte {error.start}.") from None


def mend_text(text: bytes) -> bytes:
    """
    Return JSON with U+FFFD for what is no character: broken UTF-8, halves of surrogate pairs.

    For what providers send: one character cut in two must not cost a client its answer. No
    byte of JSON's structure is ever replaced. Text without such faults comes back as it is.
    """
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode("utf-8", "replace").encode()
    if b"\\u" not in text:
        return text
    mended = bytearray(text)
    for found in _SURROGATES.finditer(_mask_backslashes(text)):
        if found.group(1) is not None:
            mended[found.start() : found.start() + 6] = b"\\ufffd"
    return bytes(mended)


def check_depth(text: bytes, limit: int = MAX_DEPTH) -> None:
    """
    Raise JsonError if brackets nest deeper than `limit`.

    Only structure is looked at: all else is deleted first, strings with it. What is left is
    a mountain range of ups and downs; cutting out a valley, `]]` and the `[[` behind it, leaves
    its highest peak as high as it was. Each round merges neighbouring slopes, so that few
    rounds leave one slope, which is as long as the depth. All of it runs in C over a text
    that shrinks: a hostile body costs little more than a friendly one. Brackets that do not
    match are left to the parser, which says where they are.
    """
    structure = _keep_structure(text)
    too_deep = b"[" * (limit + 1)
    size = -1
    while len(structure) != size and too_deep not in structure:
        size = len(structure)
        for valley in _VALLEYS:
            structure = structure.replace(valley, b"")
    if structure.count(b"[") > limit:
        raise JsonError(f"The body nests deeper than {limit} levels.")


def _keep_structure(text: bytes) -> bytes:
    """Return the brackets outside of strings, all as square ones."""
    if b"\\" in text:
        # Pairs of backslashes first: what then still stands before a quote escapes it.
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    text = text.translate(_TO_SQUARE, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' not in text:
        return text
    kept = []
    inside = 0
    for start in range(0, len(text), _BLOCK_BYTES):
        parts = text[start : start + _BLOCK_BYTES].split(b'"')
        kept.append(b"".join(parts[inside::2]))
        inside = (inside + len(parts) - 1) % 2
    return b"".join(kept)


def _mask_backslashes(text: bytes) -> bytes:
    """Return the text with escaped backslashes hidden: every escape stays where it was."""
    return text.replace(b"\\\\", b"__")


def _place(error: Exception, text: bytes) -> str:
    """Return where msgspec stopped; its messages hold a byte position and no content."""
    what = str(error).removeprefix("JSON is malformed: ")
    if "(byte" in what:
        return what
    for found in _SURROGATES.finditer(_mask_backslashes(text)):
        if found.group(1) is not None:
            return f"half of a surrogate pair (byte {found.start()})"
    return f"it ends too early (byte {len(text)})"
