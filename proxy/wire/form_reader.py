"""
A body of `multipart/form-data`, read part by part while it comes in; strict, and nothing is kept.

Two readers of one form must not find different parts in it: whoever may ask for one model only must
not be able to name another where the provider looks and we do not. So whatever is read differently
by servers in use is refused here, though some of it is allowed.
"""

import re
from typing import Final, Literal

from msgspec import Struct

from proxy.domain.errors import InvalidRequest

MAX_PARTS: Final = 256
"""Of one form."""
MAX_HEAD_BYTES: Final = 8192
"""Of the lines in front of one part's value."""

_BOUNDARY = re.compile(
    r"multipart/form-data[ \t]*;[ \t]*boundary=(?:"
    r"\"([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\"|([0-9A-Za-z'+_.-]{1,70}))",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}(?:\[[A-Za-z0-9_.-]{0,100}\]){0,4}")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_KIND = re.compile(r"form-data(?=[ \t;]|$)", re.IGNORECASE)
_PARAMETER = re.compile(
    r"[ \t]*;[ \t]*([A-Za-z*]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([!#$%&'*+.^_`|~0-9A-Za-z\[\]-]+))"
)
_LIKE_NAME = re.compile(r"name[0-9*]*[ \t]*=", re.IGNORECASE)
_ENCODINGS = frozenset((b"binary", b"8bit", b"7bit"))
_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_CHARSET = "_charset_"
"""A field by which HTML changes how all others are to be read."""


class PartHead(Struct, frozen=True):
    """A part begins: `raw` is all of it that came, with the line that separates it."""

    raw: bytes
    name: str
    is_file: bool


class PartData(Struct, frozen=True):
    """Bytes of the part's value, at least one."""

    raw: bytes


class FormEnd(Struct, frozen=True):
    """The form is over; `raw` is the line that ends it, or what may still follow: a line's end."""

    raw: bytes


Piece = PartHead | PartData | FormEnd


def read_boundary(content_type: str) -> bytes | None:
    """
    Return the boundary of a form, None where a `Content-Type` tells of something else.

    Args:
        content_type: of the request; it may have no other parameter than `boundary`.

    Raises:
        InvalidRequest: it is `multipart/form-data`, and its boundary cannot be read in one way.

    Source: RFC 7578; RFC 2046, 5.1.1.
    """
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    found = _BOUNDARY.fullmatch(content_type.strip())
    if found is None:
        raise _bad("its Content-Type must have a boundary, and nothing else")
    return (found[1] or found[2]).encode()


def build_form_type(boundary: bytes) -> str:
    """Return the `Content-Type` of a form, in the one way in which we write it."""
    text = boundary.decode()
    is_token = re.fullmatch(r"[0-9A-Za-z'+_.-]+", text) is not None
    return (
        f"multipart/form-data; boundary={text}"
        if is_token
        else (f'multipart/form-data; boundary="{text}"')
    )


class FormReader:
    """
    Turns the bytes of a form into its pieces, whatever way they were split.

    The `raw` of all pieces together is what was fed, byte for byte; what is held back meanwhile is
    one part's head, or a little more than a boundary.
    """

    __slots__ = ("_behind", "_delimiter", "_held", "_parts", "_state")

    def __init__(self, boundary: bytes) -> None:
        """Read a form that is separated by `boundary` (see `read_boundary`)."""
        self._delimiter = b"--" + boundary
        self._held = self._behind = b""
        self._parts = 0
        self._state: Literal["start", "head", "data", "end"] = "start"

    def feed(self, data: bytes) -> list[Piece]:
        """
        Take the next bytes and return the pieces that are certain by now.

        Raises:
            InvalidRequest: they are no form, or one that others may read differently.

        Source: RFC 7578; RFC 2046; tests/wire/test_form_reader.py has the tricks.
        """
        pieces: list[Piece] = []
        self._held = self._held + data if self._held else data
        while self._step(pieces):
            continue
        return pieces

    def finish(self) -> None:
        """
        Take note of the end of the body.

        Raises:
            InvalidRequest: the form had not come to its end.
        """
        if self._state != "end" or self._behind not in (b"", _LINE_END):
            raise _bad("it ends too early")

    def _step(self, pieces: list[Piece]) -> bool:
        """Read one thing more, if it is all here."""
        if self._state == "data":
            return self._read_data(pieces)
        if self._state == "head":
            return self._read_head(pieces)
        if self._state == "start":
            return self._read_start()
        self._behind += self._held
        if not _LINE_END.startswith(self._behind):
            raise _bad("something follows behind its end")
        if self._held:
            pieces.append(FormEnd(self._held))
            self._held = b""
        return False

    def _read_start(self) -> bool:
        start = self._delimiter + _LINE_END
        if not self._held.startswith(start[: len(self._held)]):
            raise _bad("it does not begin with its boundary")
        if len(self._held) < len(start):
            return False
        self._state = "head"
        return True

    def _read_head(self, pieces: list[Piece]) -> bool:
        """Read the head of a part; what is held begins with the line that separates it."""
        # Behind a value the line that separates begins with the end of a line.
        begin = self._held.index(self._delimiter) + len(self._delimiter) + len(_LINE_END)
        if self._held.startswith(_LINE_END, begin):
            raise _bad("a part has no headers")
        end = self._held.find(_HEAD_END, begin)
        if (len(self._held) if end < 0 else end) - begin > MAX_HEAD_BYTES:
            raise _bad(f"a part has more than {MAX_HEAD_BYTES} bytes of headers")
        if end < 0:
            return False
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _bad(f"it has more than {MAX_PARTS} parts")
        name, is_file = _parse_head(self._held[begin:end])
        end += len(_HEAD_END)
        pieces.append(PartHead(self._held[:end], name, is_file))
        self._held = self._held[end:]
        self._state = "data"
        return True

    def _read_data(self, pieces: list[Piece]) -> bool:
        """Read what is certain to be a value: up to the next boundary, or where one may begin."""
        held, delimiter = self._held, self._delimiter
        place = held.find(delimiter)
        if place < 0:
            # The line's end and all of a boundary but its last byte could stand at the end.
            certain = len(held) - len(delimiter) - 1
            if certain > 0:
                pieces.append(PartData(held[:certain]))
                self._held = held[certain:]
            return False
        begin, end = place - len(_LINE_END), place + len(delimiter)
        if held[max(begin, 0) : place] != _LINE_END:
            # Some servers take it for a boundary all the same.
            raise _bad("its boundary stands within a value")
        behind = held[end : end + 2]
        if len(behind) < 2:
            return False
        if begin:
            pieces.append(PartData(held[:begin]))
        if behind == _LINE_END:
            self._held = held[begin:]
            self._state = "head"
        elif behind == b"--":
            pieces.append(FormEnd(held[begin : end + 2]))
            self._held = held[end + 2 :]
            self._state = "end"
        else:
            raise _bad("something stands behind a boundary on its line")
        return True


def _parse_head(head: bytes) -> tuple[str, bool]:
    """Return the name of a part, and whether it is a file."""
    disposition: str | None = None
    for line in head.split(_LINE_END):
        found = _HEADER.fullmatch(line)
        if found is None:
            raise _bad("a part's header is malformed")
        name, value = found[1].lower(), found[2].strip(b" \t")
        if name == b"content-disposition":
            if disposition is not None:
                raise _bad("a part has two Content-Disposition headers")
            disposition = value.decode("latin-1")
        elif name == b"content-type" and value.lower().startswith(b"multipart/"):
            raise _bad("a part is a form of its own")
        elif name == b"content-transfer-encoding" and value.lower() not in _ENCODINGS:
            raise _bad("a part is encoded")
    if disposition is None:
        raise _bad("a part has no Content-Disposition header")
    return _parse_disposition(disposition)


def _parse_disposition(text: str) -> tuple[str, bool]:
    kind = _KIND.match(text)
    if kind is None:
        raise _bad("a part is no form-data")
    found: dict[str, str] = {}
    place = kind.end()
    while (parameter := _PARAMETER.match(text, place)) is not None:
        name = parameter[1].lower()
        if name in found or name not in ("name", "filename", "filename*"):
            raise _bad("a part's Content-Disposition has a parameter twice, or an unknown one")
        found[name] = parameter[3] if parameter[2] is None else parameter[2]
        place = parameter.end()
    if text[place:].strip(" \t;"):
        raise _bad("a part's Content-Disposition is malformed")
    if any(_LIKE_NAME.search(value) for value in found.values()):
        # Some servers look for ` name=` in the line, or split it at each `;`, quoted or not.
        raise _bad("a file's name has 'name=' in it")
    name = found.get("name", "")
    if _NAME.fullmatch(name) is None or name == _CHARSET:
        raise _bad("the name of a part must be of letters, digits, '_', '-', '.', '[' and ']'")
    return name, "filename" in found or "filename*" in found


def _bad(what: str) -> InvalidRequest:
    return InvalidRequest(f"The form cannot be read: {what}.", code="invalid_form")
