"""The model of a form: found in its beginning, and replaced by the provider's name."""

from collections.abc import Sequence

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.wire.form_model import MAX_MODEL_BYTES, FormModel

BEGIN = b"--b\r\nContent-Disposition: form-data; name="


def _field(name: str, value: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name.encode(), value)


FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n-'
MODEL = _field("model", b"alias")
STRANGE = b"Content-Type: text/plain\r\ncontent-disposition: form-data; name=model\r\n\r\nalias"


def _form(*parts: bytes) -> bytes:
    return b"--b\r\n" + b"\r\n--b\r\n".join(parts) + b"\r\n--b--\r\n"


def _pass(form: bytes, model: str, size: int) -> tuple[str, bytes, int | None]:
    """Return the model that was found, the form as it goes on, and how much longer it is."""
    reader = FormModel(b"b", is_named=False)
    found, out, shift = None, b"", None
    for at in range(0, len(form), size):
        piece = form[at : at + size]
        if found is not None:
            out += reader.pass_on(piece)
            continue
        found = reader.look(piece)
        if found is not None:
            out, shift = reader.begin(model)
    reader.finish()
    assert found is not None
    return found, out, shift


@pytest.mark.parametrize("model", ["m", "a-much-longer-model/of:the-provider"])
@pytest.mark.parametrize(
    "parts",
    [
        (MODEL, FILE),
        (_field("language", b"en"), MODEL, FILE, _field("prompt", b"x")),
        (FILE, MODEL),
        (STRANGE, FILE),
        (MODEL,),
    ],
    ids=["first", "among others", "last", "in other words", "alone"],
)
def test_the_model_is_replaced_wherever_the_form_was_cut(
    parts: Sequence[bytes], model: str
) -> None:
    """At any split the form goes on with the provider's name, all else byte for byte."""
    form = _form(*parts)
    own = _field("model", model.encode())
    expected = _form(*(own if b"alias" in part else part for part in parts))
    for size in range(1, len(form) + 1):
        assert _pass(form, model, size) == ("alias", expected, len(expected) - len(form))


@pytest.mark.parametrize(
    "parts",
    [(MODEL, FILE), (FILE, MODEL), (FILE,), (MODEL,), (MODEL, FILE, MODEL)],
    ids=["first", "last", "absent", "alone", "twice"],
)
def test_a_model_that_is_known_stands_in_front(parts: Sequence[bytes]) -> None:
    """Where a header names the model the form's own is left out, and ours goes first."""
    form = _form(*parts)
    expected = _form(_field("model", b"m"), *(part for part in parts if part != MODEL))
    for size in range(1, len(form) + 1):
        reader = FormModel(b"b", is_named=True)
        out, shift = reader.begin("m")
        out += b"".join(reader.pass_on(form[at : at + size]) for at in range(0, len(form), size))
        reader.finish()
        assert (out, shift) == (expected, None)


@pytest.mark.parametrize(
    "parts",
    [
        (MODEL, FILE, _field("model", b"other")),
        (MODEL, _field("model", b"other"), FILE),
        (MODEL, FILE, _field("model[]", b"other")),
        (_field("model[a]", b"other"), MODEL),
        (BEGIN[5:] + b'"model"; filename="m"\r\n\r\nalias',),
        (MODEL, FILE, _field("Model", b"other")),
        (_field("model", b""), FILE),
        (_field("model", b"\xff"), FILE),
        (_field("model", b"m" * (MAX_MODEL_BYTES + 1)), FILE),
        (FILE,),
        (MODEL, FILE, BEGIN[5:] + b'"model"; filename="m"\r\n\r\nalias'),
    ],
    ids=[
        *("twice", "at once twice", "as a list", "a list first", "a file"),
        *("in capitals", "empty", "no text"),
        *("long", "absent", "a file later"),
    ],
)
@pytest.mark.parametrize("size", [1, 4096])
def test_a_model_that_is_not_clear_is_refused(parts: Sequence[bytes], size: int) -> None:
    """A second model, one in a doubtful shape, and none at all are a 400 about `model`."""
    with pytest.raises(InvalidRequest) as caught:
        _pass(_form(*parts), "m", size)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    "parts", [(MODEL, FILE, _field("api_base", b"x")), (_field("proxy", b""),)]
)
def test_what_no_caller_may_set_is_refused_in_forms_too(parts: Sequence[bytes]) -> None:
    """A field that says where a request goes is refused, before and behind the model."""
    with pytest.raises(InvalidRequest) as caught:
        _pass(_form(*parts), "m", 7)
    assert caught.value.code == "unsupported_parameter"


def test_a_form_that_ends_before_its_model_is_cut_off() -> None:
    """A body that ends within the form is no form."""
    reader = FormModel(b"b", is_named=False)
    assert reader.look(_form(FILE)[:40]) is None
    with pytest.raises(InvalidRequest) as caught:
        reader.finish()
    assert caught.value.code == "invalid_form"
