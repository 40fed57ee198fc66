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
MAX_NAMES = 500_000
"""Most names of one body, at all depths: each costs a dictionary more than the client."""
MAX_VALUES = 2_000_000
"""Most values of one answer or event that is taken apart whole: each costs memory and time."""

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
_HALF_PAIR = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_POSITION = re.compile(r"\(byte ([0-9]{1,19})\)")
_LAST_NAME = re.compile(rb'(?<!\\)"([a-z_]{1,64})"[ \t\r\n]{0,64}:[ \t\r\n]{0,64}-?\Z')
_NOT_NUMBERS = (b"NaN", b"Infinity")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SHORTEST_MEMBER_BYTES = len(b'"":0,')
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_NOT_COLONS = bytes(set(range(256)) - set(b'":'))
_NOT_BORDERS = bytes(set(range(256)) - set(b'"[{,'))
_VALLEYS = tuple(b"]" * width + b"[" * width for width in (32, 16, 8, 4, 2, 1))
_BLOCK_BYTES = 1 << 20


class JsonError(ValueError):
    """A text that is not the JSON that we take; the message names no content."""

    def __init__(self, message: str, code: str = "invalid_json", name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        """Or `invalid_unicode`, `invalid_number`, `json_too_deep`, `too_many_names`."""
        self.name = name
        """The top-level name whose value is wrong, where that is known."""


def parse_object(text: bytes) -> dict[str, Raw]:
    """
    Split the top level of a JSON object into `name -> raw bytes`.

    Args:
        text: a whole JSON document in UTF-8.

    Returns:
        Every top-level name with the bytes of its value, in order of first appearance;
        of a name that comes twice the last value.

    Raises:
        JsonError: not an object, not valid JSON, not UTF-8, nested deeper than MAX_DEPTH,
            or with more than MAX_NAMES names. NaN and Infinity are not JSON, and half of a
            surrogate pair is no character.

    Source: RFC 8259; tests/wire/test_json_text.py.
    """
    if not text.isascii():
        check_utf8(text)
    if _has_many_openers(text):
        check_depth(text)
    if len(text) > MAX_NAMES * _SHORTEST_MEMBER_BYTES:
        check_names(text)
    try:
        return _decode_object(text)
    except msgspec.ValidationError:
        raise JsonError("The body must be a JSON object.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _explain(error, text) from None


def build_object(fields: Mapping[str, Raw | bytes]) -> bytes:
    """
    Write a JSON object from names and raw values; the inverse of `parse_object`.

    Args:
        fields: names in the order they are to be written, each with the bytes of a valid
            JSON value.
    """
    # The encoder writes a Raw as it is; bytes it would write as base64.
    return _encode({name: raw if type(raw) is Raw else Raw(raw) for name, raw in fields.items()})


def encode(value: object) -> bytes:
    """Return a value of ours as JSON bytes."""
    return _encode(value)


def check_utf8(text: bytes) -> None:
    """Raise JsonError unless the bytes are UTF-8; the message says where they are not."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise JsonError(
            f"The body is not valid UTF-8 at byte {error.start}.", "invalid_unicode"
        ) from None


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
    for found in _HALF_PAIR.finditer(_mask_backslashes(text)):
        mended[found.start() : found.end()] = b"\\ufffd"
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
    structure = _keep(text, _NOT_BRACKETS)
    too_deep = b"[" * (limit + 1)
    size = -1
    while len(structure) != size and too_deep not in structure:
        size = len(structure)
        for valley in _VALLEYS:
            structure = structure.replace(valley, b"")
    if structure.count(b"[") > limit:
        raise JsonError(f"The body nests deeper than {limit} levels.", "json_too_deep")


def _has_many_openers(text: bytes) -> bool:
    """Return whether brackets could nest too deep at all: in most bodies there are not as many."""
    left = MAX_DEPTH
    for opener in (b"{", b"["):
        # Finding the next one is many times faster than counting, which looks at each byte.
        place = text.find(opener)
        while place >= 0:
            left -= 1
            if left < 0:
                return True
            place = text.find(opener, place + 1)
    return False


def check_names(text: bytes, limit: int = MAX_NAMES) -> None:
    """
    Raise JsonError if the objects of a text have more than `limit` names together.

    Lists are not counted: a prompt may be a million tokens.
    """
    if text.count(b":") > limit and _keep(text, _NOT_COLONS).count(b":") > limit:
        raise JsonError(f"The body holds more than {limit} names.", "too_many_names")


def holds_too_many_values(text: bytes, limit: int = MAX_VALUES) -> bool:
    """
    Return whether a provider's JSON has more than `limit` values, strings not looked into.

    A value has a bracket or a comma before it: 64 MB of empty lists, which take a provider
    nothing to send, would become more than a GB of objects here.
    """
    if len(text) <= limit or sum(text.count(border) for border in (b"[", b"{", b",")) <= limit:
        return False
    return len(_keep(text, _NOT_BORDERS)) > limit


def _keep(text: bytes, dropped: bytes) -> bytes:
    """Return what is left of a text without its strings and `dropped`; brackets become square."""
    if b"\\" in text:
        # Pairs of backslashes first: what then still stands before a quote escapes it.
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    text = text.translate(_TO_SQUARE, dropped).replace(b'""', b"")
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


def _explain(error: Exception, text: bytes) -> JsonError:
    """Return what is wrong and where: msgspec's messages hold a byte position and no content."""
    what = str(error).removeprefix("JSON is malformed: ")
    place = _POSITION.search(what)
    position = len(text) if place is None else int(place[1])
    # Of half a pair msgspec says no place, or one within the escape that should follow it.
    half = _HALF_PAIR.search(_mask_backslashes(text), 0 if place is None else max(0, position - 12))
    if half is not None and half.start() <= position:
        what = f"half of a surrogate pair (byte {half.start()})"
        return JsonError(f"The body is not valid JSON: {what}.", "invalid_unicode")
    if place is None:
        what = f"it ends too early (byte {position})"
    elif text.startswith(_NOT_NUMBERS, position):
        return JsonError(
            f"The body is not valid JSON: it has no NaN and no Infinity (byte {position}).",
            "invalid_number",
            _find_name(text[:position]),
        )
    elif text.startswith(_BYTE_ORDER_MARK):
        what = "a byte order mark (byte 0)"
    return JsonError(f"The body is not valid JSON: {what}.")


def _find_name(head: bytes) -> str | None:
    """Return the top-level name whose value would come next; None if it is a deeper one."""
    found = _LAST_NAME.search(head[-256:])
    if found is None:
        return None
    try:
        _decode_object(head.removesuffix(b"-") + b"0}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return found[1].decode()
