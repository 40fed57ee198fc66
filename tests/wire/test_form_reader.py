"""Forms: read alike however they are split, and refused where two servers could differ."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.domain.errors import InvalidRequest
from proxy.wire.form_reader import (
    MAX_HEAD_BYTES,
    MAX_PARTS,
    FormEnd,
    FormReader,
    PartData,
    PartHead,
    Piece,
    build_form_type,
    read_boundary,
)
from tests.wire.splits import cut

GOOD = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1'
    b'\r\n--b\r\ncontent-disposition: form-data; name="image[]"; filename="a \\"b\\".png"; '
    b"filename*=UTF-8''a%20b.png\r\nContent-Type: image/png\r\n\r\n\x00\r\n--a\r\n-\xff--\r"
    b"\r\n--b\r\nContent-Disposition: form-data;name=empty\r\n\r\n"
    b"\r\n--b--\r\n"
)


def _read(form: bytes, size: int | None = None) -> list[Piece]:
    reader = FormReader(b"b")
    step = size or len(form)
    pieces = [
        piece for at in range(0, len(form), step) for piece in reader.feed(form[at : at + step])
    ]
    reader.finish()
    return pieces


def _sum_up(pieces: list[Piece]) -> list[tuple[str, bool, bytes]]:
    parts: list[tuple[str, bool, bytes]] = []
    for piece in pieces:
        if isinstance(piece, PartHead):
            parts.append((piece.name, piece.is_file, b""))
        elif isinstance(piece, PartData):
            name, is_file, value = parts[-1]
            parts[-1] = (name, is_file, value + piece.raw)
    return parts


@pytest.mark.parametrize("size", range(1, len(GOOD) + 1))
def test_a_form_is_read_alike_however_it_is_split(size: int) -> None:
    """Names, files and values are the same for pieces of any size, and no byte is lost."""
    pieces = _read(GOOD, size)
    assert _sum_up(pieces) == [
        ("model", False, b"whisper-1"),
        ("image[]", True, b"\x00\r\n--a\r\n-\xff--\r"),
        ("empty", False, b""),
    ]
    assert b"".join(piece.raw for piece in pieces) == GOOD
    assert isinstance(pieces[-1], FormEnd)


@settings(max_examples=60, deadline=None)
@given(value=st.binary(max_size=200), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_any_value_comes_out_as_it_went_in(value: bytes, cuts: list[int]) -> None:
    """A value of any bytes but its own boundary is found whole, wherever it was cut."""
    if b"--b" in value:
        value = value.replace(b"--b", b"")
    form = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + value + b"\r\n--b--"
    reader = FormReader(b"b")
    pieces: list[Piece] = []
    for piece in cut(form, cuts):
        pieces += reader.feed(piece)
    reader.finish()
    assert _sum_up(pieces) == [("f", False, value)]


def test_little_is_held_back_of_a_value() -> None:
    """Of a value all is given out at once but what could be the beginning of a boundary."""
    reader = FormReader(b"b" * 70)
    start = b"--" + b"b" * 70 + b'\r\nContent-Disposition: form-data; name="f"\r\n\r\n'
    pieces = reader.feed(start + b"x" * 100_000)
    assert sum(len(piece.raw) for piece in pieces) >= len(start) + 100_000 - 75


PART = b'Content-Disposition: form-data; name="f"\r\n\r\nv'
TRICKS = {
    "a preamble": b"hello\r\n--b\r\n" + PART + b"\r\n--b--",
    "no boundary": b"{}",
    "another boundary": b"--c\r\n" + PART + b"\r\n--c--",
    "bare line feeds": b'--b\nContent-Disposition: form-data; name="f"\n\nv\n--b--',
    "a boundary after a bare line feed": b"--b\r\n" + PART + b"\n--b\r\n" + PART + b"\r\n--b--",
    "a boundary within a line": b"--b\r\n" + PART + b" --b\r\n" + PART + b"\r\n--b--",
    "a boundary right behind a head": b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n--b',
    "a boundary that goes on": b"--b\r\n" + PART + b"\r\n--bb\r\n" + PART + b"\r\n--b--",
    "blanks behind a boundary": b"--b\r\n" + PART + b"\r\n--b \r\n" + PART + b"\r\n--b--",
    "one dash behind a boundary": b"--b\r\n" + PART + b"\r\n--b-\r\n",
    "something behind the end": b"--b\r\n" + PART + b"\r\n--b--\r\n--b\r\n" + PART,
    "no headers": b"--b\r\n\r\nv\r\n--b--",
    "no disposition": b"--b\r\nContent-Type: text/plain\r\n\r\nv\r\n--b--",
    "two dispositions": b"--b\r\n" + PART[:-5] + b"\r\n" + PART + b"\r\n--b--",
    "a folded header": b'--b\r\nContent-Disposition: form-data;\r\n name="f"\r\n\r\nv\r\n--b--',
    "a NUL in a header": b'--b\r\nContent-Disposition: form-data; name="f\0"\r\n\r\nv\r\n--b--',
    "a bare CR in a header": b'--b\r\nContent-Disposition: form-data;\rname="f"\r\n\r\nv\r\n--b--',
    "a blank before the colon": b'--b\r\nContent-Disposition : form-data; name="f"\r\n\r\n',
    "another kind": b'--b\r\nContent-Disposition: attachment; name="f"\r\n\r\nv\r\n--b--',
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nv\r\n--b--",
    "two names": b'--b\r\nContent-Disposition: form-data; name="f"; name="model"\r\n\r\nv\r\n--b--',
    "a second name in capitals": b"--b\r\nContent-Disposition: form-data; name=f; NAME=g\r\n\r\n",
    "an encoded name": b"--b\r\nContent-Disposition: form-data; name*=UTF-8''model\r\n\r\nv",
    "an escaped name": b'--b\r\nContent-Disposition: form-data; name="mod\\el"\r\n\r\nv\r\n--b--',
    "a percent name": b'--b\r\nContent-Disposition: form-data; name="mod%65l"\r\n\r\nv\r\n--b--',
    "a name with a blank": b'--b\r\nContent-Disposition: form-data; name="model "\r\n\r\nv',
    "a name that is not closed": b'--b\r\nContent-Disposition: form-data; name="f\r\n\r\nv',
    "a name within a file's": b"--b\r\nContent-Disposition: form-data; "
    b'filename="x; name=model; y"; name="file"\r\n\r\nv\r\n--b--',
    "a name behind quotes in a file's": b'--b\r\nContent-Disposition: form-data; name="file"; '
    b'filename="a\\"; Name = \\"model\\""\r\n\r\nv\r\n--b--',
    "a charset for all fields": b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n',
    "a form in a form": b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n" + PART,
    "an encoded part": b"--b\r\nContent-Transfer-Encoding: base64\r\n" + PART,
    "too many headers": b"--b\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n" + PART,
    "a head that never ends": b"--b\r\nX: " + b"x" * (MAX_HEAD_BYTES + 9),
    "too many parts": b"".join([b"--b\r\n" + PART + b"\r\n"] * (MAX_PARTS + 1)) + b"--b--",
}
CUT_OFF = {
    "within a value": b"--b\r\n" + PART,
    "within a boundary": b"--b\r\n" + PART + b"\r\n--b",
    "within the last boundary": b"--b\r\n" + PART + b"\r\n--b-",
    "within the last line": b"--b\r\n" + PART + b"\r\n--b--\r",
    "at once": b"",
}


@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize("form", TRICKS.values(), ids=TRICKS)
def test_what_others_may_read_differently_is_refused(form: bytes, size: int | None) -> None:
    """Each of these is a 400 with the code `invalid_form`, byte by byte and at once."""
    reader, step = FormReader(b"b"), size or len(form)
    with pytest.raises(InvalidRequest) as caught:
        for at in range(0, len(form), step):
            reader.feed(form[at : at + step])
    assert caught.value.code == "invalid_form"


@pytest.mark.parametrize("form", CUT_OFF.values(), ids=CUT_OFF)
def test_a_form_that_is_cut_off_is_refused(form: bytes) -> None:
    """A body that ends before the form does is told when it ends."""
    reader = FormReader(b"b")
    reader.feed(form)
    with pytest.raises(InvalidRequest) as caught:
        reader.finish()
    assert caught.value.code == "invalid_form"


def test_a_form_has_as_many_parts_as_are_allowed() -> None:
    """The limit itself is taken."""
    form = b"".join([b"--b\r\n" + PART + b"\r\n"] * MAX_PARTS) + b"--b--"
    assert len(_sum_up(_read(form))) == MAX_PARTS


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc-1", b"abc-1"),
        ("Multipart/Form-Data;Boundary=X", b"X"),
        ('multipart/form-data; boundary="a b:c"', b"a b:c"),
        ("application/json", None),
        ("multipart/mixed; boundary=abc", None),
        ("", None),
    ],
)
def test_a_boundary_is_read(content_type: str, boundary: bytes | None) -> None:
    """It stands in the only parameter, with or without quotes; another type has none."""
    assert read_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; boundary=",
        '; boundary=""',
        "; boundary=a; boundary=b",
        "; charset=utf-8; boundary=a",
        "; boundary=a, multipart/form-data; boundary=b",
        '; boundary="a\\"b"',
        '; boundary="a "',
        "; boundary=" + "a" * 71,
        "; boundary*=UTF-8''a",
    ],
)
def test_a_boundary_that_is_not_clear_is_refused(parameters: str) -> None:
    """A form's type with no boundary, with two, or with one in a doubtful spelling is a 400."""
    with pytest.raises(InvalidRequest) as caught:
        read_boundary("multipart/form-data" + parameters)
    assert caught.value.code == "invalid_form"


@pytest.mark.parametrize("boundary", [b"abc-1", b"a b:c", b"a=b"])
def test_a_forms_type_is_written_as_it_is_read(boundary: bytes) -> None:
    """What goes to a provider has the boundary that came, quoted where it must be."""
    assert read_boundary(build_form_type(boundary)) == boundary
