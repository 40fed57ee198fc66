"""
The model that a form names, and the form as one provider gets it: with its own name in that place.

Only the beginning is held, up to the field `model`; everything behind it is looked at as it passes.
"""

from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.wire.form_reader import FormEnd, FormReader, PartData, PartHead, Piece
from proxy.wire.openai_fields import REFUSED

MAX_MODEL_BYTES = 512

_MODEL = "model"
_NOTHING = Raw(b"null")


class FormModel:
    """
    One form on its way: `look` until `model` is known, then `begin`, then `pass_on`.

    Where the model is known from elsewhere, `look` is not needed: a field `model` is then left out
    wherever it comes, and one with the provider's name stands in front. Once the beginning goes out
    nobody needs it any more: `let_go`.
    """

    __slots__ = (
        "_before",
        "_behind",
        "_boundary",
        "_came_bytes",
        "_is_dropping",
        "_is_inside",
        "_is_named",
        "_model",
        "_reader",
        "_value",
    )

    def __init__(self, boundary: bytes, *, is_named: bool) -> None:
        """Read a form; `is_named`: its field `model` does not count."""
        self._boundary = boundary
        self._reader = FormReader(boundary)
        self._is_named = is_named
        self._before, self._behind = bytearray(), bytearray()
        self._came_bytes = 0
        """How many bytes of the field `model` have come."""
        self._value = b""
        self._model: str | None = None
        self._is_inside = self._is_dropping = False

    def look(self, data: bytes) -> str | None:
        """
        Take the next bytes of the beginning, and return the model once it is known.

        Raises:
            InvalidRequest: it is no form that can be read in one way, or it names no model in it.
        """
        for piece in self._reader.feed(data):
            if self._model is not None:
                self._check(piece)
                self._behind += piece.raw
            elif self._is_inside and isinstance(piece, PartData):
                self._came_bytes += len(piece.raw)
                self._value += piece.raw
                if len(self._value) > MAX_MODEL_BYTES:
                    raise _no_model()
            elif self._is_inside:
                self._model = _read_model(self._value)
                self._check(piece)
                self._behind += piece.raw
            elif isinstance(piece, PartHead) and piece.name == _MODEL:
                _check_name(piece)
                self._is_inside = True
                self._came_bytes = len(piece.raw)
                self._before += piece.raw[: piece.raw.index(b"--" + self._boundary)]
            elif isinstance(piece, FormEnd):
                raise _no_model()
            else:
                self._check(piece)
                self._before += piece.raw
        return self._model

    @property
    def before_bytes(self) -> int:
        """How much of the form stands before its model, as far as it has come."""
        return len(self._before)

    def begin(self, model: str) -> tuple[bytes, int | None]:
        """
        Return the beginning of the form with the provider's name of the model in its place.

        Also by how many bytes the form is longer than it came; None where that is not known.
        """
        line = b"--" + self._boundary + b"\r\n"
        own = line + b'Content-Disposition: form-data; name="model"\r\n\r\n' + model.encode()
        start = b"".join((self._before, own, self._behind))
        # A line's end in front of the boundary was put before it.
        came_bytes = self._came_bytes - (2 if self._before else 0)
        return start, None if self._is_named else len(own) - came_bytes

    def let_go(self) -> None:
        """Forget the beginning: it goes out now, and nobody else will get it."""
        self._before, self._behind = bytearray(), bytearray()

    def pass_on(self, data: bytes) -> bytes:
        """
        Take the next bytes and return what goes on of them.

        Raises:
            InvalidRequest: they are no form that can be read in one way, or name a model again.
        """
        out = []
        for piece in self._reader.feed(data):
            self._check(piece)
            if not isinstance(piece, PartData):
                self._is_dropping = isinstance(piece, PartHead) and piece.name == _MODEL
            if not self._is_dropping:
                # The first part has no line in front of it that could end ours.
                is_first = isinstance(piece, PartHead) and piece.raw.startswith(b"--")
                out.append(b"\r\n" + piece.raw if is_first else piece.raw)
        return b"".join(out)

    def finish(self) -> None:
        """
        Take note of the end of the body.

        Raises:
            InvalidRequest: the form had not come to its end.
        """
        self._reader.finish()

    def _check(self, piece: Piece) -> None:
        if not isinstance(piece, PartHead):
            return
        _check_name(piece)
        if piece.name == _MODEL and not self._is_named:
            raise InvalidRequest("'model' may come only once.", param=_MODEL)


def _check_name(part: PartHead) -> None:
    """Refuse fields that say where a request goes, and what some servers take for `model`."""
    check = REFUSED.get(part.name)
    if check is not None:
        check(part.name, _NOTHING)
    lowered = part.name.lower()
    if lowered.startswith("model[") or (lowered == _MODEL and part.name != _MODEL):
        raise InvalidRequest("'model' must be a plain field, in small letters.", param=_MODEL)
    if part.name == _MODEL and part.is_file:
        raise InvalidRequest("'model' must be no file.", param=_MODEL)


def _read_model(value: bytes) -> str:
    try:
        model = value.decode() if len(value) <= MAX_MODEL_BYTES else ""
    except UnicodeDecodeError:
        model = ""
    if not model:
        raise _no_model()
    return model


def _no_model() -> InvalidRequest:
    return InvalidRequest("'model' must name a model.", param=_MODEL)
