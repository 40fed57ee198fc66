"""Row U16: answers that are compressed although nobody asked for it."""

import asyncio
import gzip
import zlib
from collections.abc import Callable

import msgspec
import pytest

from tests.faults.fault_upstream import (
    CONTENT,
    GOOD_EVENTS,
    STRIKES,
    Deed,
    build_answer,
    build_encoded,
    build_secret_error,
    cut,
    judging_faults,
    split,
    stall,
    tell,
)

pytestmark = pytest.mark.both_transports

_STREAM = b"".join(GOOD_EVENTS)
_JSON = msgspec.json.encode(build_answer())
_BOMB = gzip.compress(b"\0" * 50_000_000, 9)

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
}


def _build(body: bytes, encoding: str, stream: bool, status: int = 200) -> bytes:
    media_type = "text/event-stream" if stream and status == 200 else "application/json"
    return build_encoded(body, encoding, media_type, status)


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("how", [tell, split])
async def test_u16_a_compressed_stream_is_read(encoding: str, how: Callable[[bytes], Deed]) -> None:
    """U16 as amended: a compressed stream reaches the client plain, also byte by byte."""
    data = _build(PACKERS[encoding](_STREAM), encoding, True)
    async with judging_faults(how(data)) as (judge, script):
        outcome = await judge.ask_untagged(stream=True)
        assert script.requests[0][1]["accept-encoding"] == "identity"
    assert outcome.verdict == ("answer", 200, None)
    assert "content-encoding" not in outcome.reply.headers
    assert outcome.text.endswith("says more")


@pytest.mark.parametrize("encoding", PACKERS)
async def test_u16_a_compressed_whole_answer_is_read(encoding: str) -> None:
    """U16 as amended: a compressed JSON answer reaches the client plain."""
    data = _build(PACKERS[encoding](_JSON), encoding, False)
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask_untagged()
    assert outcome.verdict == ("answer", 200, None)
    assert "content-encoding" not in outcome.reply.headers
    assert outcome.text.endswith("says hello")


async def test_u16_a_compressed_error_is_read() -> None:
    """U16 as amended: an error body that is compressed is understood."""
    body = msgspec.json.encode(build_secret_error("Too long.", code="context_length_exceeded"))
    async with judging_faults(tell(_build(gzip.compress(body), "gzip", True, 400))) as (judge, _):
        outcome = await judge.ask(stream=True)
    assert outcome.verdict == ("refused", 400, "context_length_exceeded")


@pytest.mark.parametrize("stream", [True, False])
async def test_u16_a_bomb_is_not_unfolded(stream: bool) -> None:
    """U16: 50 kB that would become 50 MB: 502, and what still comes of it is not waited for."""
    async with judging_faults(stall(_build(_BOMB, "gzip", stream), -100)) as (judge, script):
        outcome = await judge.ask(stream=stream)
        async with asyncio.timeout(5.0):
            await script.connections[0].wait_closed()
    assert outcome.verdict == ("refused", 502, "upstream_too_large")


async def test_u16_a_bomb_behind_content() -> None:
    """U16: a bomb behind content is told in the stream."""
    body = gzip.compress(CONTENT + b":" + b" " * 50_000_000 + b"\n\n", 9)
    async with judging_faults(tell(_build(body, "gzip", True))) as (judge, _):
        outcome = await judge.ask_untagged(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_too_large")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "identity, gzip", "x"])
@pytest.mark.parametrize("stream", [True, False])
async def test_u16_an_unknown_encoding(encoding: str, stream: bool) -> None:
    """U16: an encoding that is not read here, or several: 502."""
    async with judging_faults(tell(_build(b"\x8b\x05\x80words\x03", encoding, stream))) as (
        judge,
        _,
    ):
        outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", 502, "unsupported_encoding")


@pytest.mark.parametrize("stream", [True, False])
async def test_u16_a_wrong_encoding(stream: bool) -> None:
    """U16: a body that is not what it claims to be is as one that was cut: 502."""
    data = _build(_STREAM if stream else _JSON, "gzip", stream)
    async with judging_faults(tell(data)) as (judge, _):
        outcome = await judge.ask(stream=stream)
    assert outcome.verdict == ("refused", 502, "upstream_truncated")


@pytest.mark.parametrize("strike", ["cut", "reset"])
async def test_u16_a_compressed_stream_breaks(strike: str) -> None:
    """U16: a compressed stream that breaks behind content is told in the stream."""
    packer = zlib.compressobj(wbits=31)
    start = packer.compress(b"".join(GOOD_EVENTS[:2])) + packer.flush(zlib.Z_SYNC_FLUSH)
    whole = _build(start + packer.compress(b"x" * 999) + packer.flush(), "gzip", True)
    at = whole.index(start) + len(start)
    async with judging_faults(STRIKES[strike](whole, at)) as (judge, _):
        outcome = await judge.ask_untagged(stream=True)
    assert outcome.verdict == ("broken", 200, "upstream_disconnected")


@pytest.mark.parametrize("missing_bytes", [1, 8, 20])
async def test_u16_a_compressed_answer_is_cut(missing_bytes: int) -> None:
    """U16: a compressed JSON answer whose end is missing: 502, though HTTP calls it whole."""
    data = _build(gzip.compress(_JSON)[:-missing_bytes], "gzip", False)
    async with judging_faults(cut(data)) as (judge, _):
        outcome = await judge.ask()
    assert outcome.verdict == ("refused", 502, "upstream_truncated")
