"""The first bytes of a body that does not say what it is."""

import asyncio
import time

import pytest

from proxy.domain.errors import ProxyError, UpstreamDisconnected, UpstreamTimeout
from proxy.domain.exchange import ResponseHead
from proxy.pipeline.body_start import MAX_START_BYTES, BodyStart
from tests.fakes.recording_sink import RecordingSink


class Opened:
    """An OpenedResponse that pushes what its test gave it as soon as it may."""

    head = ResponseHead(200, {})

    def __init__(self, *chunks: bytes, ending: ProxyError | None = None, ends: bool = True) -> None:
        self.chunks = chunks
        self.ending = ending
        self.ends = ends
        self.sink: BodyStart
        self.is_paused = False

    def resume(self) -> None:
        """Push all."""
        for chunk in self.chunks:
            self.sink.data(chunk)
        if self.ends:
            self.sink.end() if self.ending is None else self.sink.fail(self.ending)

    def pause(self) -> None:
        """Take note."""
        self.is_paused = True

    def close(self) -> None:
        """Nothing to let go of."""


def open_start(opened: Opened) -> BodyStart:
    opened.sink = BodyStart(opened)
    return opened.sink


@pytest.mark.parametrize(
    ("body", "is_stream"),
    [
        (b"data: {}\n\n", True),
        (b"\r\n\n: ping\n\n", True),
        (b"\xef\xbb\xbfevent: x\n", True),
        (b"id:1\n", True),
        (b"retry: 1\n", True),
        (b"", True),
        (b" \n", True),
        (b'{"choices":[]}', False),
        (b"\n {", False),
        (b"<html>", False),
        (b"date", False),
        (b"dat", False),
        (b"\xef\xbb", False),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_first_bytes_tell_a_stream(body: bytes, is_stream: bool, at_once: bool) -> None:
    """Fields and comments begin a stream, an empty body is one; nothing else is, in any split."""
    chunks = [body] if at_once else [bytes([byte]) for byte in body]
    start = open_start(Opened(*(chunk for chunk in chunks if chunk)))
    assert await start.wait(10.0) is is_stream
    assert start.is_object is body.strip().startswith(b"{")


async def test_what_has_come_is_handed_on_once_and_whole() -> None:
    """The sink gets every byte from the first on, and the end."""
    opened = Opened(b"\nda", b"ta: 1\n\n", b"data: 2\n\n")
    start = open_start(opened)
    assert await start.wait(10.0)
    assert opened.is_paused
    sink = RecordingSink()
    start.hand_over(sink)
    assert (sink.body, sink.endings) == (b"\ndata: 1\n\ndata: 2\n\n", [None])


async def test_a_body_that_breaks_later_breaks_for_the_sink() -> None:
    """A fault behind the first bytes is told where the body is read."""
    start = open_start(Opened(b"data: 1\n\n", ending=UpstreamDisconnected()))
    assert await start.wait(10.0)
    sink = RecordingSink()
    start.hand_over(sink)
    assert [type(error) for error in sink.endings] == [UpstreamDisconnected]


async def test_a_body_that_breaks_before_it_tells_fails() -> None:
    """Half of a first word and a fault is the fault."""
    with pytest.raises(UpstreamDisconnected):
        await open_start(Opened(b"da", ending=UpstreamDisconnected())).wait(10.0)


async def test_silence_runs_into_the_clock() -> None:
    """Without a word the wait ends as the wait for a first token does."""
    with pytest.raises(UpstreamTimeout) as late:
        await open_start(Opened(ends=False)).wait(0.01)
    assert late.value.code == "upstream_first_token_timeout"


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("piece", [b"\n", b"\n" * (MAX_START_BYTES + 1)])
async def test_blanks_without_end_are_no_stream(lead: bytes, piece: bytes) -> None:
    """A body is not waited on for more than a little of nothing, which costs next to nothing."""
    pieces = [piece] * (1 + MAX_START_BYTES // len(piece))
    start = open_start(Opened(*filter(None, [lead, *pieces]), ends=False))
    started_s = time.process_time()
    assert not await start.wait(10.0)
    assert time.process_time() - started_s < 1.0


async def test_a_request_that_leaves_while_it_waits_is_let_go() -> None:
    """Cancelled, the wait ends, and what comes then does no harm."""
    start = open_start(Opened(ends=False))
    waiting = asyncio.ensure_future(start.wait(10.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    start.data(b"data: 1\n\n")
    start.end()
