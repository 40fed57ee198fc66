"""What an answer with an error status says, and what of it is waited for."""

import gzip
from collections.abc import Mapping

import pytest

from proxy.domain.errors import (
    ProxyError,
    UpstreamDisconnected,
    UpstreamRedirect,
    UpstreamRejected,
    UpstreamServerError,
)
from proxy.domain.exchange import ResponseHead
from proxy.pipeline.error_answer import MAX_ERROR_BODY_BYTES, Inlet, read_error

WORDS = b'{"error":{"message":"no such voice","param":"voice"}}'


class _Opened:
    """An answer whose body comes at once; it is told to the inlet that it was opened with."""

    def __init__(
        self, status: int, body: bytes, headers: Mapping[str, str], error: ProxyError | None
    ) -> None:
        self.head = ResponseHead(status, headers)
        self.inlet = Inlet()
        self.was_asked = self.is_closed = False
        self._body = body
        self._error = error

    def resume(self) -> None:
        """Give all of it."""
        if self.was_asked:
            return
        self.was_asked = True
        self.inlet.data(self._body)
        if self._error is not None:
            self.inlet.fail(self._error)
        elif not self.is_closed:
            self.inlet.end()

    def pause(self) -> None:
        """Take no note."""

    def close(self) -> None:
        """Take note."""
        self.is_closed = True


async def _read(
    status: int, body: bytes = WORDS, error: ProxyError | None = None, **headers: str
) -> tuple[ProxyError, _Opened]:
    opened = _Opened(status, body, {n.replace("_", "-"): v for n, v in headers.items()}, error)
    return await read_error(opened, opened.inlet), opened


async def test_the_words_of_an_error_are_read() -> None:
    """Status and body together say what it means, and the answer is let go of."""
    error, opened = await _read(400)
    assert isinstance(error, UpstreamRejected)
    assert (error.message, error.param) == ("no such voice", "voice")
    assert opened.is_closed


async def test_compressed_words_are_read_too() -> None:
    """A body that is compressed unasked is inflated."""
    error, _ = await _read(400, gzip.compress(WORDS), content_encoding="gzip")
    assert error.message == "no such voice"


@pytest.mark.parametrize(
    ("body", "headers", "broken"),
    [
        (WORDS, {"content_encoding": "br"}, None),
        (b"junk", {"content_encoding": "gzip"}, None),
        (WORDS, {}, UpstreamDisconnected()),
    ],
    ids=["unknown encoding", "damaged", "cut off"],
)
async def test_words_that_cannot_be_read_are_done_without(
    body: bytes, headers: dict[str, str], broken: ProxyError | None
) -> None:
    """Where the body is no good the status says enough."""
    error, _ = await _read(500, body, broken, **headers)
    assert isinstance(error, UpstreamServerError)


async def test_of_a_redirect_nothing_is_waited_for() -> None:
    """Its status is all that is said."""
    error, opened = await _read(302)
    assert isinstance(error, UpstreamRedirect)
    assert not opened.was_asked


async def test_no_more_is_read_than_words_need() -> None:
    """A body without end is cut off, and what came of it counts."""
    error, opened = await _read(400, WORDS + b" " * MAX_ERROR_BODY_BYTES)
    assert error.message == "no such voice"
    assert opened.is_closed
