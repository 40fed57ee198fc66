"""Forms as the simulator takes them: counted, and read alike however they were split."""

import hashlib

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.form import KEPT_BYTES, Form, FormCounter, find_boundary

FILE = bytes(range(256)) * 3
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nsim-echo\r\n'
    b'--b\r\nContent-Disposition: form-data; name="empty"\r\n\r\n\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + FILE + b"\r\n--b--\r\n"
)


def _read(form: bytes, size: int) -> Form:
    counter = FormCounter("b")
    for at in range(0, len(form), size):
        counter.feed(form[at : at + size])
    return counter.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_a_form_is_read_alike_however_it_is_split(size: int) -> None:
    """Fields and files are the same whatever the pieces were."""
    form = _read(FORM, size)
    assert form.fields == {"model": ["sim-echo"], "empty": [""]}
    assert (form.find("model"), form.find("none")) == ("sim-echo", None)
    (file,) = form.files
    assert (file.name, file.file_name, file.size_bytes) == ("file", "a.wav", len(FILE))
    assert file.content == FILE
    assert file.sha256 == hashlib.sha256(FILE).hexdigest()


def test_a_long_file_is_counted_and_not_kept() -> None:
    """Of what is longer than is kept only the size is known."""
    form = _read(FORM.replace(FILE, bytes(KEPT_BYTES + 1)), 100_000)
    assert form.files[0].size_bytes == KEPT_BYTES + 1
    assert form.files[0].content == b""


def test_what_is_no_form_is_refused() -> None:
    """A part without a name, a field without end and a form that is cut off are a 400."""
    with pytest.raises(InvalidRequest):
        _read(b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--", 9)
    with pytest.raises(InvalidRequest):
        _read(FORM.replace(b"sim-echo", bytes(KEPT_BYTES + 1)), 100_000)
    with pytest.raises(InvalidRequest):
        _read(FORM[:-20], 9)


def test_a_boundary_is_found() -> None:
    """With or without quotes; another type has none."""
    assert find_boundary("multipart/form-data; boundary=abc") == "abc"
    assert find_boundary('multipart/form-data; boundary="a b"') == "a b"
    assert find_boundary("application/json") is None
