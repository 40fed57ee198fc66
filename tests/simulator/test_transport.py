"""The in-process simulator keeps the words of `upstream/base.py`, on good answers and faults."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.domain.errors import (
    ProxyError,
    RequestTimeout,
    UpstreamDisconnected,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.simulator.knobs import Knobs
from proxy.simulator.transport import SimulatorTransport
from tests.fakes.made_upload import MadeUpload
from tests.simulator.asking import chat_body, parse_events, text_of
from tests.simulator.recording import RecordingSink

pytestmark = pytest.mark.usefixtures("no_leaks")
TURNS = 20


@pytest.fixture
async def transport() -> AsyncIterator[SimulatorTransport]:
    """A simulator inside this process."""
    transport = SimulatorTransport()
    yield transport
    await transport.close()


def _request(model: str, text: str = "one two three", **more: Any) -> OutboundRequest:
    return OutboundRequest(
        provider="sim",
        method="POST",
        url="simulator:/chat/completions",
        headers={},
        body=chat_body(model, text, **{"stream": True, **more}),
        streams=bool(more.get("stream", True)),
        clocks=Clocks(headers_s=0.02, answer_s=0.02),
        model=model,
    )


async def _turns() -> None:
    """Let the loop do everything that needs no time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def test_an_answer_streams(transport: SimulatorTransport) -> None:
    """Head first; the body follows, one chunk per event, and ends once."""
    sink = RecordingSink()
    answer = await transport.open(_request("sim-echo"), sink)
    assert (answer.head.status, answer.head.media_type) == (200, "text/event-stream")
    answer.resume()
    await sink.finished.wait()
    assert text_of(parse_events(sink.body)) == "one two three"
    assert len(sink.chunks) == 6
    assert (sink.endings, sink.error) == (1, None)


async def test_a_whole_answer_comes(transport: SimulatorTransport) -> None:
    """A request that is no stream gets its JSON in one piece."""
    sink = RecordingSink()
    answer = await transport.open(_request("sim-echo", stream=False), sink)
    answer.resume()
    await sink.finished.wait()
    assert answer.head.media_type == "application/json"
    assert b'"content":"one two three"' in sink.body


async def test_models_are_listed(transport: SimulatorTransport) -> None:
    """A health probe's GET of the models is answered, without the faults of HTTP."""
    sink = RecordingSink()
    request = OutboundRequest(
        provider="sim",
        method="GET",
        url="simulator:/models",
        headers={},
        body=b"",
        streams=False,
        clocks=Clocks(),
    )
    answer = await transport.open(request, sink)
    answer.resume()
    await sink.finished.wait()
    assert b'"sim-echo"' in sink.body
    assert b'"sim-fault-u1-refused"' in sink.body
    assert b"u32-extra-bytes" not in sink.body


async def test_other_models_are_unknown(transport: SimulatorTransport) -> None:
    """A name that is no `sim-*` model gets a provider's 404."""
    answer = await transport.open(_request("gpt-4o"), RecordingSink())
    assert answer.head.status == 404
    answer.close()


async def test_the_body_waits_for_resume(transport: SimulatorTransport) -> None:
    """Nothing is pushed before `resume()`, nor inside it."""
    sink = RecordingSink()
    answer = await transport.open(_request("sim-echo"), sink)
    await _turns()
    assert sink.chunks == []
    answer.resume()
    assert sink.chunks == []
    await sink.finished.wait()


async def test_repeated_resume_changes_nothing(transport: SimulatorTransport) -> None:
    """Two calls of `resume()` give one body."""
    sink = RecordingSink()
    answer = await transport.open(_request("sim-echo"), sink)
    answer.resume()
    answer.resume()
    await sink.finished.wait()
    answer.resume()
    await _turns()
    assert (sink.body.count(b"[DONE]"), sink.endings) == (1, 1)


async def test_pause_is_exact(transport: SimulatorTransport) -> None:
    """A sink that pauses on each chunk gets one chunk per resume, and all of them."""
    answers: list[Any] = []

    class PausingSink(RecordingSink):
        def data(self, chunk: bytes) -> None:
            super().data(chunk)
            answers[0].pause()

    sink = PausingSink()
    answers.append(await transport.open(_request("sim-echo"), sink))
    for count in range(1, 7):
        answers[0].resume()
        await _turns()
        assert len(sink.chunks) == count
    answers[0].resume()
    await sink.finished.wait()
    assert text_of(parse_events(sink.body)) == "one two three"


async def test_a_sink_may_pause_and_resume_at_once(transport: SimulatorTransport) -> None:
    """`pause()` and `resume()` from inside `data` neither lose nor repeat anything."""
    answers: list[Any] = []

    class FickleSink(RecordingSink):
        def data(self, chunk: bytes) -> None:
            super().data(chunk)
            answers[0].pause()
            answers[0].resume()

    sink = FickleSink()
    answers.append(await transport.open(_request("sim-story@0tps,0ms,300tokens"), sink))
    answers[0].resume()
    await sink.finished.wait()
    assert len(parse_events(sink.body)) == 302


async def test_pause_holds_over_a_wait(transport: SimulatorTransport) -> None:
    """A timer that runs out while the body is paused delivers nothing."""
    sink = RecordingSink()
    answer = await transport.open(_request("sim-echo@1000tps"), sink)
    answer.resume()
    await sink.wait_chunks(3)
    answer.pause()
    seen = len(sink.chunks)
    timer_has_run = asyncio.Event()
    asyncio.get_running_loop().call_later(0.005, timer_has_run.set)
    await timer_has_run.wait()
    assert len(sink.chunks) == seen
    answer.resume()
    await sink.finished.wait()
    assert text_of(parse_events(sink.body)) == "one two three"


async def test_nothing_comes_after_close(transport: SimulatorTransport) -> None:
    """`close()` in the middle of a stream is silence, also when called from the sink."""
    answers: list[Any] = []

    class LeavingSink(RecordingSink):
        def data(self, chunk: bytes) -> None:
            super().data(chunk)
            if len(self.chunks) == 2:
                answers[0].close()

    sink = LeavingSink()
    answers.append(await transport.open(_request("sim-echo"), sink))
    answers[0].resume()
    await _turns()
    answers[0].resume()
    answers[0].close()
    await _turns()
    assert (len(sink.chunks), sink.endings) == (2, 0)


async def test_close_leaves_no_timer(transport: SimulatorTransport) -> None:
    """After `close()` the loop has no timer of the answer's any more."""
    answer = await transport.open(_request("sim-echo@0.01tps,60s"), RecordingSink())
    before = _live_timers()
    answer.resume()
    await _turns()
    assert _live_timers() == before + 1
    answer.close()
    assert _live_timers() == before


async def test_cancelling_open_leaves_no_timer(transport: SimulatorTransport) -> None:
    """A cancelled `open` that was waiting for its head takes its timer along."""
    before = _live_timers()
    opening = asyncio.create_task(
        transport.open(_request("sim-fault-u4-black-hole"), RecordingSink())
    )
    await _turns()
    assert _live_timers() == before + 1
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert _live_timers() == before


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("u1-refused", UpstreamUnreachable, "upstream_unreachable"),
        ("u3-reset-before-headers", UpstreamDisconnected, "upstream_disconnected"),
        ("u4-black-hole", UpstreamTimeout, "upstream_header_timeout"),
        ("u31-interim-flood", UpstreamProtocolError, "upstream_protocol_error"),
        ("u31-many-headers", UpstreamProtocolError, "upstream_protocol_error"),
        ("u31-big-header", UpstreamProtocolError, "upstream_protocol_error"),
        ("u31-junk-status", UpstreamProtocolError, "upstream_protocol_error"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_faults_before_the_head_raise(
    transport: SimulatorTransport, fault: str, error: type[ProxyError], code: str, stream: bool
) -> None:
    """`open` raises what a real transport would, and the sink hears nothing."""
    sink = RecordingSink()
    with pytest.raises(error) as raised:
        await transport.open(_request(f"sim-fault-{fault}", stream=stream), sink)
    assert raised.value.code == code
    assert (sink.chunks, sink.endings) == ([], 0)


@pytest.mark.parametrize("fault", ["u7-reset-after-content", "u11-chunked-cut", "u11-length-short"])
@pytest.mark.parametrize("stream", [True, False])
async def test_cuts_fail_the_sink(transport: SimulatorTransport, fault: str, stream: bool) -> None:
    """A cut where more had to come is UpstreamDisconnected, after the bytes before it."""
    sink = RecordingSink()
    answer = await transport.open(_request(f"sim-fault-{fault}", stream=stream), sink)
    answer.resume()
    await sink.finished.wait()
    assert isinstance(sink.error, UpstreamDisconnected)
    assert sink.body


@pytest.mark.parametrize("fault", ["u10-eof-chunked", "u10-eof-close"])
async def test_early_ends_are_ends(transport: SimulatorTransport, fault: str) -> None:
    """What HTTP cannot know to be cut ends well, without a finish."""
    sink = RecordingSink()
    answer = await transport.open(_request(f"sim-fault-{fault}"), sink)
    answer.resume()
    await sink.finished.wait()
    assert sink.error is None
    assert b"[DONE]" not in sink.body


@pytest.mark.parametrize("fault", ["u6-headers-then-silence", "u8-stall-after-content"])
async def test_stalls_are_silence(transport: SimulatorTransport, fault: str) -> None:
    """A stalled body neither ends nor fails, nor keeps the loop busy or a timer alive."""
    sink = RecordingSink()
    before = _live_timers()
    answer = await transport.open(_request(f"sim-fault-{fault}"), sink)
    answer.resume()
    await _turns()
    answer.pause()
    answer.resume()
    await _turns()
    assert len(sink.chunks) == (3 if "after" in fault else 0)
    assert (sink.endings, _live_timers()) == (0, before)
    answer.close()


async def test_endless_streams_let_others_run(transport: SimulatorTransport) -> None:
    """An endless stream shares the loop with others and stops at `close()`."""
    endless = RecordingSink()
    answer = await transport.open(_request("sim-fault-u17-endless@100000tps"), endless)
    answer.resume()
    await endless.wait_chunks(500)
    other = RecordingSink()
    second = await transport.open(_request("sim-echo"), other)
    second.resume()
    await other.finished.wait()
    answer.close()
    assert endless.endings == 0


async def test_slow_heads_run_into_the_clock(transport: SimulatorTransport) -> None:
    """A whole answer that takes longer than `answer_s` is a header timeout."""
    with pytest.raises(UpstreamTimeout):
        await transport.open(_request("sim-echo@5s", stream=False), RecordingSink())


async def test_faults_of_http_alone_are_refused(transport: SimulatorTransport) -> None:
    """What only a socket can show gets a 400 that says so."""
    sink = RecordingSink()
    answer = await transport.open(_request("sim-fault-u32-extra-bytes"), sink)
    answer.resume()
    await sink.finished.wait()
    assert answer.head.status == 400
    assert b"http simulator" in sink.body


async def test_closing_fails_what_is_open() -> None:
    """Started answers fail at once, paused ones at their `resume()`, waiting opens raise."""
    transport = SimulatorTransport()
    started, paused = RecordingSink(), RecordingSink()
    first = await transport.open(_request("sim-fault-u8-stall-after-content"), started)
    first.resume()
    second = await transport.open(_request("sim-echo"), paused)
    opening = asyncio.create_task(
        transport.open(_request("sim-fault-u4-black-hole"), RecordingSink())
    )
    await _turns()
    await transport.close()
    assert isinstance(started.error, UpstreamDisconnected)
    assert paused.endings == 0
    second.resume()
    await paused.finished.wait()
    assert isinstance(paused.error, UpstreamDisconnected)
    with pytest.raises(UpstreamDisconnected):
        await opening
    with pytest.raises(UpstreamUnreachable):
        await transport.open(_request("sim-echo"), RecordingSink())


async def test_options_set_the_pace() -> None:
    """The transport's own knobs hold for every request that turns none itself."""
    transport = SimulatorTransport(Knobs(fault="u24-500"))
    answer = await transport.open(_request("sim-echo"), RecordingSink())
    assert answer.head.status == 500
    await transport.close()


@pytest.mark.parametrize(
    "url", ["simulator:/v1/models", "simulator://host/models", "http://127.0.0.1:1/v1/models?x=1"]
)
async def test_any_form_of_url_is_read(transport: SimulatorTransport, url: str) -> None:
    """Only the path of the URL counts."""
    request = OutboundRequest(
        provider="sim",
        method="GET",
        url=url,
        headers={},
        body=b"",
        streams=False,
        clocks=Clocks(),
    )
    answer = await transport.open(request, RecordingSink())
    assert answer.head.status == 200


@pytest.mark.parametrize(
    ("end", "status"), [(b"\r\n--b--\r\n", 200), (b"\r\n--b\r\nX: y\r\n\r\nz", 400)]
)
async def test_an_upload_is_counted_as_it_comes(
    transport: SimulatorTransport, end: bytes, status: int
) -> None:
    """A form that still comes in is answered once it is here; one that is none is refused."""
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nsim-echo\r\n--b\r\n',
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
        *[bytes(1000)] * 50,
        end,
    )
    request = OutboundRequest(
        provider="sim",
        method="POST",
        url="simulator:/audio/transcriptions",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        body=b"",
        streams=False,
        clocks=Clocks(),
        upload=MadeUpload(parts),
    )
    sink = RecordingSink()
    answer = await transport.open(request, sink)
    answer.resume()
    await sink.finished.wait()
    assert answer.head.status == status
    assert (b"I heard 50000 bytes of a." in sink.body) == (status == 200)


async def test_an_upload_that_breaks_is_raised(transport: SimulatorTransport) -> None:
    """What reading it raises comes out as it is."""
    request = OutboundRequest(
        provider="sim",
        method="POST",
        url="simulator:/files",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        body=b"",
        streams=False,
        clocks=Clocks(),
        upload=MadeUpload([b"--b\r\n"], error=RequestTimeout()),
    )
    with pytest.raises(RequestTimeout):
        await transport.open(request, RecordingSink())


def _live_timers() -> int:
    """Count the loop's timers that are still going to fire."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(not timer.cancelled() for timer in scheduled)
