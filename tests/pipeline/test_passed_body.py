"""As much of a body as names its model, and the body as one provider gets it."""

from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict, MultiMapping

from proxy.domain.errors import InvalidRequest, UnsupportedMediaType
from proxy.domain.exchange import PassedOperation
from proxy.domain.settings import Settings
from proxy.pipeline.passed_body import PIECE_BYTES, OpenBody, receive_passed
from tests.fakes.made_upload import MadeUpload
from tests.pipeline.passing import FILE, FORM, FORM_TYPE, MODEL, build_field, build_form

JSON_TYPE = "application/json"


class _Request:
    """A PassingRequest whose body is here."""

    operation: Any = "chat"
    endpoint = "/x"

    def __init__(
        self,
        passed: PassedOperation,
        body: bytes = b"",
        content_type: str = FORM_TYPE,
        *,
        method: str = "POST",
        rest: str = "",
        model: str | None = None,
        query: Mapping[str, str] | None = None,
        step: int = 5,
        is_sized: bool = True,
    ) -> None:
        self.passed: PassedOperation = passed
        self.method = method
        self.rest = rest
        self.model = model
        self.query = query or {}
        self.headers: MultiMapping[str] = CIMultiDict({"Content-Type": content_type})
        self.upload = MadeUpload(
            [body[at : at + step] for at in range(0, len(body), step)],
            len(body) if is_sized else None,
        )
        self._body = body

    async def read_body(self, settings: Settings) -> bytes:
        """Return it."""
        return self._body

    def open_upload(self, settings: Settings) -> MadeUpload:
        """Return it in pieces."""
        return self.upload


async def _drain(opened: OpenBody) -> bytes:
    assert opened.upload is not None
    pieces = []
    while piece := await opened.upload.read():
        pieces.append(piece)
    return b"".join(pieces)


async def test_a_form_is_read_up_to_its_model_and_no_further() -> None:
    """The rest is left where it is until somebody asks for it; then all of it comes, once."""
    form = build_form(MODEL, FILE + bytes(9000))
    request = _Request("audio/transcriptions", form)
    body = await receive_passed(request, Settings())
    assert body.model == "m"
    assert request.upload.taken_bytes < 300
    assert not body.is_begun
    opened = body.open("longer")
    assert opened.content_type == FORM_TYPE
    assert opened.upload is not None
    assert opened.upload.size_bytes == len(form) + 5
    sent = await _drain(opened)
    assert sent == build_form(build_field("model", b"longer"), FILE + bytes(9000))
    assert body.is_begun


async def test_a_form_that_was_not_begun_may_go_elsewhere() -> None:
    """Opened once more it is the form for that provider, with its length."""
    body = await receive_passed(_Request("images/edits", FORM), Settings())
    body.open("first")
    opened = body.open("x")
    assert opened.upload is not None
    assert opened.upload.size_bytes == len(FORM)
    assert await _drain(opened) == build_form(build_field("model", b"x"), FILE)


@pytest.mark.parametrize(
    ("named", "is_sized"), [({"model": "q"}, True), ({}, False)], ids=["named", "in chunks"]
)
async def test_a_length_that_is_not_known_is_not_told(
    named: dict[str, str], is_sized: bool
) -> None:
    """A form that came in chunks, and one whose own model is left out, have none."""
    request = _Request("audio/translations", FORM, query=named, is_sized=is_sized)
    body = await receive_passed(request, Settings())
    assert body.model == named.get("model", "m")
    opened = body.open("p")
    assert opened.upload is not None
    assert opened.upload.size_bytes is None
    assert await _drain(opened) == build_form(build_field("model", b"p"), FILE)


async def test_a_form_that_is_cut_off_fails_as_it_goes_out() -> None:
    """Its end is looked for, also behind what has gone already."""
    body = await receive_passed(_Request("images/edits", FORM[:-4]), Settings())
    with pytest.raises(InvalidRequest):
        await _drain(body.open("m"))


async def test_a_file_for_an_account_is_not_looked_at() -> None:
    """It has no model, and its bytes are its own."""
    form = build_form(build_field("purpose", b"batch"), FILE)
    body = await receive_passed(_Request("files", form), Settings())
    assert (body.model, body.is_begun) == ("", False)
    opened = body.open("")
    assert await _drain(opened) == form
    assert body.is_begun


async def test_json_is_rebuilt_for_each_provider() -> None:
    """Its model is replaced, as often as it is opened; all else stays byte for byte."""
    request = _Request("rerank", b'{"query":"\\u0061","model":"m","n":1.0}', JSON_TYPE)
    body = await receive_passed(request, Settings())
    assert body.open("x").body == b'{"query":"\\u0061","model":"x","n":1.0}'
    assert body.open("y").body == b'{"query":"\\u0061","model":"y","n":1.0}'
    assert not body.is_begun


@pytest.mark.parametrize(
    ("passed", "text", "model"),
    [
        ("moderations", b'{"input":"x"}', "omni-moderation-latest"),
        ("moderations", b'{"input":"x","model":null}', "omni-moderation-latest"),
        ("batches", b'{"input_file_id":"f"}', ""),
        ("images/edits", b'{"model":"e"}', "e"),
    ],
)
async def test_json_names_its_model_or_has_a_usual_one(
    passed: PassedOperation, text: bytes, model: str
) -> None:
    """Moderations need no name, batches have none, and edits may come as JSON too."""
    body = await receive_passed(_Request(passed, text, JSON_TYPE), Settings())
    assert body.model == model


async def test_json_names_one_model_only() -> None:
    """A `Model` beside it, which some servers would take, is refused."""
    with pytest.raises(InvalidRequest) as caught:
        await receive_passed(
            _Request("rerank", b'{"model":"m","MODEL":"n"}', JSON_TYPE), Settings()
        )
    assert caught.value.param == "model"


async def test_what_was_held_goes_out_piece_by_piece() -> None:
    """A long beginning is not one write: who takes it slowly takes something all the time."""
    form = build_form(FILE + bytes(3 * PIECE_BYTES), MODEL)
    body = await receive_passed(_Request("images/edits", form, step=PIECE_BYTES), Settings())
    opened = body.open("m")
    assert opened.upload is not None
    pieces = [await opened.upload.read() for _ in range(4)]
    assert [len(piece) for piece in pieces[:3]] == [PIECE_BYTES] * 3
    assert b"".join(pieces) + await _drain(opened) == form


async def test_a_path_names_the_model_before_the_body() -> None:
    """Azure's deployment counts, and the body gets the provider's name for it."""
    request = _Request("images/generations", b'{"model":"m"}', JSON_TYPE, model="deployed")
    body = await receive_passed(request, Settings())
    assert body.model == "deployed"


@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("DELETE", "/file-1"), ("POST", "/batch_1/cancel")]
)
async def test_what_has_no_body_needs_none(method: str, rest: str) -> None:
    """Whatever such a request brings along is not looked at."""
    request = _Request("batches", b"junk", "text/plain", method=method, rest=rest)
    body = await receive_passed(request, Settings())
    assert (body.model, body.is_begun, body.open("")) == ("", False, OpenBody())


async def test_the_wrong_type_is_refused() -> None:
    """Where a form is due nothing else is taken."""
    with pytest.raises(UnsupportedMediaType):
        await receive_passed(_Request("files", b"{}", JSON_TYPE), Settings())


async def test_a_model_that_does_not_come_in_time_is_refused() -> None:
    """How far in it stands decides, and not how the body was split."""
    form = build_form(FILE, MODEL)
    for step in (1, 1000):
        limit = Settings(max_form_start_bytes=form.index(b"\r\n--b\r\nContent", 9) + 2)
        request = _Request("images/edits", form, step=step)
        assert (await receive_passed(request, limit)).model == "m"
        limit = Settings(max_form_start_bytes=limit.max_form_start_bytes - 1)
        with pytest.raises(InvalidRequest) as caught:
            await receive_passed(_Request("images/edits", form, step=step), limit)
        assert caught.value.param == "model"
