"""
The body of what is passed as it came: as much of it as has to be read before it can go out.

JSON is read whole, since it is small. Of a form only the beginning is held, up to its field
`model`; a file for an account has none and is not looked at at all.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest, UnsupportedMediaType
from proxy.domain.exchange import PassedOperation, Upload
from proxy.domain.settings import Settings
from proxy.pipeline.base import PassingRequest
from proxy.wire.form_model import FormModel
from proxy.wire.form_reader import build_form_type, read_boundary
from proxy.wire.json_text import JsonError, build_object, encode, parse_object
from proxy.wire.openai_fields import REFUSED, check_spelling, read_value

MODEL_HEADER = "x-llm-proxy-model"
MODEL_QUERY = "model"
PIECE_BYTES = 64 * 1024
"""What goes out at once of the beginning that was held."""
JSON = "application/json"

_ONLY_FORMS = frozenset[PassedOperation](
    ("audio/transcriptions", "audio/translations", "images/variations", "files")
)
_ALSO_FORMS = frozenset[PassedOperation](("images/edits",))
_USUAL_MODELS: Mapping[PassedOperation, str] = MappingProxyType(
    {"moderations": "omni-moderation-latest"}
)
"""What is asked for where clients leave the model out, as OpenAI has it."""
_decode_text = msgspec.json.Decoder(str).decode


class OpenBody(Struct, frozen=True):
    """A body that is ready for one provider: all of it, or what it comes from."""

    content_type: str | None = None
    body: bytes = b""
    upload: Upload | None = None


class PassedBody(Protocol):
    """A client's body, of which the model that it asks for is known."""

    model: str
    """What the client calls it; "" where nothing asks for one."""
    is_begun: bool
    """Some of it has gone out, and cannot go elsewhere any more."""

    def open(self, model: str) -> OpenBody:
        """Return the body for a provider that calls the model so."""


async def receive_passed(request: PassingRequest, settings: Settings) -> PassedBody:
    """
    Read as much of a request's body as names the model.

    Raises:
        RequestError: its type, encoding or size is not taken, it comes too slowly, cannot be read
            in one way, or names no model.
    """
    passed = request.passed
    if request.method != "POST" or request.rest:
        return _NoBody()
    boundary = read_boundary(request.headers.get("Content-Type", ""))
    if passed in _ONLY_FORMS and boundary is None:
        raise UnsupportedMediaType("Send a form, with 'Content-Type: multipart/form-data'.")
    if boundary is None or passed not in _ONLY_FORMS | _ALSO_FORMS:
        return await _receive_json(request, settings)
    upload = request.open_upload(settings)
    if passed == "files":
        return _FileBody(boundary, upload)
    named = _read_named(request)
    if named is not None:
        return _FormBody(named, boundary, FormModel(boundary, is_named=True), upload)
    form = FormModel(boundary, is_named=False)
    model = await _find_model(form, upload, settings.max_form_start_bytes)
    return _FormBody(model, boundary, form, upload)


async def _receive_json(request: PassingRequest, settings: Settings) -> PassedBody:
    body = await request.read_body(settings)
    try:
        fields = parse_object(body)
    except JsonError as error:
        raise InvalidRequest(str(error), param=error.name, code=error.code) from None
    for name in fields.keys() & REFUSED.keys():
        REFUSED[name](name, fields[name])
    check_spelling(fields)
    if request.passed == "batches":
        return _JsonBody("", fields)
    model = _read_named(request)
    if model is None:
        model = read_value("model", fields.get("model"), _decode_text, "must be a string")
    model = model or _USUAL_MODELS.get(request.passed)
    if not model:
        raise InvalidRequest("'model' must name a model; GET /v1/models lists them.", param="model")
    return _JsonBody(model, fields)


def _read_named(request: PassingRequest) -> str | None:
    """Return the model that path, header or query name, which goes before the body's."""
    return request.model or request.headers.get(MODEL_HEADER) or request.query.get(MODEL_QUERY)


async def _find_model(form: FormModel, upload: Upload, most_bytes: int) -> str:
    while data := await upload.read():
        model = form.look(data)
        if form.before_bytes > most_bytes:
            raise InvalidRequest(
                f"The form's field 'model' must stand in its first {most_bytes} bytes: put it "
                f"before the file, or name the model in the header '{MODEL_HEADER}'.",
                param="model",
            )
        if model is not None:
            return model
    form.finish()
    raise InvalidRequest("'model' must name a model.", param="model")


class _NoBody:
    """There is none."""

    model = ""
    is_begun = False

    def open(self, model: str) -> OpenBody:
        return OpenBody()


class _JsonBody:
    """JSON, which is here; it may go out as often as it likes."""

    is_begun = False

    def __init__(self, model: str, fields: dict[str, Raw]) -> None:
        self.model = model
        self._fields = fields

    def open(self, model: str) -> OpenBody:
        fields: dict[str, Raw | bytes] = dict(self._fields)
        if self.model:
            fields["model"] = encode(model)
        return OpenBody(JSON, build_object(fields))


class _FileBody:
    """A form that names no model."""

    model = ""

    def __init__(self, boundary: bytes, upload: Upload) -> None:
        self.is_begun = False
        self.size_bytes = upload.size_bytes
        self._boundary = boundary
        self._upload = upload

    def open(self, model: str) -> OpenBody:
        return OpenBody(build_form_type(self._boundary), upload=self)

    async def read(self) -> bytes:
        """Return its next bytes (see `Upload`)."""
        self.is_begun = True
        return await self._upload.read()


class _FormBody:
    """A form whose model is known; it is the Upload that goes out, too."""

    def __init__(self, model: str, boundary: bytes, form: FormModel, upload: Upload) -> None:
        self.model = model
        self.is_begun = False
        self.size_bytes: int | None = None
        self._boundary = boundary
        self._form = form
        self._upload = upload
        self._start = memoryview(b"")

    def open(self, model: str) -> OpenBody:
        start, longer_bytes = self._form.begin(model)
        self._start = memoryview(start)
        came_bytes = self._upload.size_bytes
        if came_bytes is not None and longer_bytes is not None:
            self.size_bytes = came_bytes + longer_bytes
        return OpenBody(build_form_type(self._boundary), upload=self)

    async def read(self) -> bytes:
        """Return its next bytes (see `Upload`): first what was held."""
        if not self.is_begun:
            self.is_begun = True
            self._form.let_go()
        if self._start:
            # Not at once: a provider that takes it slowly is not one that takes nothing.
            piece, rest = self._start[:PIECE_BYTES], self._start[PIECE_BYTES:]
            # An empty view would keep all that it is a view of.
            self._start = rest if rest else memoryview(b"")
            return bytes(piece)
        while data := await self._upload.read():
            passed = self._form.pass_on(data)
            if passed:
                return passed
        self._form.finish()
        return b""
