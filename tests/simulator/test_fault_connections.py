"""Each fault of the connection does on the wire what its row says."""

import asyncio
import time

import pytest

from proxy.simulator.server import RunningSimulator
from tests.simulator.asking import RawReply, ask_raw, chat_body, raw_request

pytestmark = pytest.mark.usefixtures("no_leaks")
QUIET_S = 0.05


async def _ask(simulator: RunningSimulator, fault: str, *, stream: bool = True) -> RawReply:
    return await ask_raw(simulator, chat_body(f"sim-fault-{fault}", stream=stream))


async def _is_silent_after(simulator: RunningSimulator, body: bytes, until: bytes) -> bytes:
    """Read up to `until`, then show that the connection stays open without another byte."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    try:
        writer.write(raw_request(body))
        wire = await reader.readuntil(until) if until else b""
        # An open connection cannot be told from a slow one but by waiting; a wait this short
        # can only make the test pass wrongly, never fail wrongly.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await reader.readexactly(1)
    finally:
        writer.close()
    return wire


async def test_reset_before_headers(simulator: RunningSimulator) -> None:
    """u3: a reset and not one byte."""
    assert await _ask(simulator, "u3-reset-before-headers") == RawReply(b"", was_reset=True)


async def test_black_hole(simulator: RunningSimulator) -> None:
    """u4: the connection stays open and silent."""
    await _is_silent_after(simulator, chat_body("sim-fault-u4-black-hole"), b"")


async def test_dead_on_reuse(simulator: RunningSimulator) -> None:
    """u5: a whole answer, then a reset for the second request on the same connection."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    request = raw_request(chat_body("sim-fault-u5-dead-on-reuse", stream=True))
    writer.write(request)
    first = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert b"data: [DONE]" in first
    writer.write(request)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_headers_then_silence(simulator: RunningSimulator, stream: bool) -> None:
    """u6: 200 and headers, then nothing."""
    body = chat_body("sim-fault-u6-headers-then-silence", stream=stream)
    wire = await _is_silent_after(simulator, body, b"\r\n\r\n")
    assert wire.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_reset_after_content(simulator: RunningSimulator) -> None:
    """u7: three whole events by default, then a reset; half of a body that is no stream."""
    reply = await _ask(simulator, "u7-reset-after-content")
    assert (reply.was_reset, reply.text.count(b"data: ")) == (True, 3)
    whole = await _ask(simulator, "u7-reset-after-content", stream=False)
    assert whole.was_reset
    assert whole.text.startswith(b'{"id":"chatcmpl-')


@pytest.mark.parametrize(("after", "events"), [(0, 0), (1, 1), (9, 9)])
async def test_the_cut_is_settable(simulator: RunningSimulator, after: int, events: int) -> None:
    """`@after<n>` says how many events go out whole."""
    reply = await _ask(simulator, f"u7-reset-after-content@after{after}")
    assert reply.text.count(b"data: ") == events


async def test_no_cut_comes_after_the_finish(simulator: RunningSimulator) -> None:
    """However late the cut is asked for, the answer never finishes before it."""
    reply = await _ask(simulator, "u7-reset-after-content@after100000")
    assert reply.was_reset
    assert b'"finish_reason":"' not in reply.text


async def test_stall_after_content(simulator: RunningSimulator) -> None:
    """u8: two events, then an open and silent connection."""
    knobs = {"fault": "u8-stall-after-content", "after_events": 2}
    body = chat_body("sim-echo", "Hi there", stream=True, metadata={"sim": knobs})
    last = b'"content":"Hi"},"logprobs":null,"finish_reason":null}]}\n\n\r\n'
    assert (await _is_silent_after(simulator, body, last)).count(b"data: ") == 2


async def test_drip(simulator: RunningSimulator) -> None:
    """u9: after whole events single bytes keep coming, but no event becomes whole."""
    body = chat_body("sim-fault-u9-drip@gap1ms", stream=True)
    reply = await ask_raw(simulator, body, until=b"\r\n1\r\n.\r\n1\r\n.\r\n1\r\n.\r\n")
    assert reply.wire.count(b"\n\n") == 3


@pytest.mark.parametrize("stream", [True, False])
async def test_early_end_in_good_order(simulator: RunningSimulator, stream: bool) -> None:
    """u10-eof-chunked: the last chunk comes, a finish does not."""
    body = chat_body("sim-fault-u10-eof-chunked", stream=stream)
    reply = await ask_raw(simulator, body, until=b"\r\n0\r\n\r\n" if stream else b"index")
    assert b'"finish_reason":"stop"' not in reply.text
    assert b"[DONE]" not in reply.text


async def test_early_end_by_close(simulator: RunningSimulator) -> None:
    """u10-eof-close: neither a length nor chunks; the close is the end."""
    reply = await _ask(simulator, "u10-eof-close")
    assert not reply.was_reset
    assert "transfer-encoding" not in reply.head
    assert "content-length" not in reply.head
    assert reply.body.endswith(b"\n\n")
    assert b"[DONE]" not in reply.body


async def test_done_only(simulator: RunningSimulator) -> None:
    """u10-done-only: the terminator is all of the stream."""
    body = chat_body("sim-fault-u10-done-only", stream=True)
    reply = await ask_raw(simulator, body, until=b"[DONE]\n\n")
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert reply.body.count(b"data:") == 1


async def test_chunked_cut(simulator: RunningSimulator) -> None:
    """u11-chunked-cut: a close in good order, but the last chunk never came."""
    reply = await _ask(simulator, "u11-chunked-cut")
    assert not reply.was_reset
    assert "transfer-encoding: chunked" in reply.head
    assert not reply.wire.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("stream", [True, False])
async def test_length_short(simulator: RunningSimulator, stream: bool) -> None:
    """u11-length-short: fewer bytes than Content-Length said."""
    reply = await _ask(simulator, "u11-length-short", stream=stream)
    promised = int(reply.head.split("content-length: ")[1].split("\r\n")[0])
    assert 0 < len(reply.body) < promised


@pytest.mark.parametrize("stream", [True, False])
async def test_endless(simulator: RunningSimulator, stream: bool) -> None:
    """u17: goes on beyond `max_tokens`, and stops soon after the client has left."""
    body = chat_body("sim-fault-u17-endless@100000tps", stream=stream, max_tokens=2)
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(raw_request(body))
    await reader.readexactly(20_000)
    left_at = time.time()
    writer.close()
    assert await simulator.ledger.wait_ended(1, 5)
    (entry,) = simulator.ledger.entries()
    assert entry.outcome == "client_closed"
    assert entry.ended_at is not None
    assert entry.ended_at - left_at < 1


@pytest.mark.parametrize("stream", [True, False])
async def test_extra_bytes(simulator: RunningSimulator, stream: bool) -> None:
    """u32: behind a whole answer a second one comes, on a connection that stays open."""
    body = chat_body("sim-fault-u32-extra-bytes", stream=stream)
    wire = await _is_silent_after(simulator, body, b'meant for someone else"}')
    assert wire.count(b"HTTP/1.1 200 OK") == 2
    assert b"connection: close" not in wire


async def test_refused_is_not_for_http(simulator: RunningSimulator) -> None:
    """u1: a server that has accepted cannot refuse; it says so with a 400."""
    body = chat_body("sim-fault-u1-refused")
    reply = await ask_raw(simulator, body, until=b"in-process simulator")
    assert reply.wire.startswith(b"HTTP/1.1 400 ")
