"""Compressed answers: inflated piece by piece, under caps, honest about their end."""

import asyncio
import gzip
import os
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import (
    UpstreamDisconnected,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.exchange import ResponseHead
from proxy.pipeline.inflate import PIECE_BYTES, TURN_BYTES, Inflater, check_encoding
from tests.fakes.recording_sink import RecordingSink
from tests.wire.splits import cuts

TEXT = b"".join(b"line %d of a text, " % number for number in range(2000))


class Opened:
    """An OpenedResponse whose test pushes the body."""

    head = ResponseHead(200, {})

    def __init__(self) -> None:
        self.calls: list[str] = []

    def resume(self) -> None:
        """Take note."""
        self.calls.append("resume")

    def pause(self) -> None:
        """Take note."""
        self.calls.append("pause")

    def close(self) -> None:
        """Take note."""
        self.calls.append("close")


class PausingSink(RecordingSink):
    """Holds the inflater up after each piece, as a client does that does not read."""

    inflater: Inflater

    def data(self, chunk: bytes) -> None:
        """Take bytes and pause."""
        super().data(chunk)
        self.inflater.pause()


def pack_raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", pack_raw),
}


def open_inflater(encoding: str = "gzip") -> tuple[Inflater, RecordingSink, Opened]:
    opened, sink = Opened(), RecordingSink()
    inflater = Inflater(opened, encoding)
    inflater.target = sink
    return inflater, sink, opened


@pytest.mark.parametrize("packer", PACKERS)
async def test_every_encoding_gives_the_text_again(packer: str) -> None:
    """gzip, zlib and raw deflate, in single bytes, give the text and a good end."""
    encoding, pack = PACKERS[packer]
    inflater, sink, _ = open_inflater(encoding)
    for byte in pack(TEXT):
        inflater.data(bytes([byte]))
    inflater.end()
    assert sink.body == TEXT
    assert sink.endings == [None]


@given(st.data())
def test_any_split_gives_the_same(data: st.DataObject) -> None:
    """However the compressed bytes were cut, the text is the same."""
    packed = gzip.compress(TEXT)

    async def read() -> None:
        inflater, sink, _ = open_inflater()
        for piece in data.draw(cuts(packed)):
            if piece:
                inflater.data(piece)
        inflater.end()
        assert (sink.body, sink.endings) == (TEXT, [None])

    asyncio.run(read())


async def test_each_flush_of_the_provider_is_pushed_at_once() -> None:
    """An event that was flushed does not wait for the next one."""
    inflater, sink, _ = open_inflater()
    packer = zlib.compressobj(wbits=31)
    for number in range(5):
        inflater.data(packer.compress(b"event %d" % number) + packer.flush(zlib.Z_SYNC_FLUSH))
        assert sink.chunks[-1] == b"event %d" % number


async def test_a_large_body_comes_in_small_pieces_and_turns() -> None:
    """No piece is larger than its cap, and the loop has its turn while the provider waits."""
    inflater, sink, opened = open_inflater()
    text = os.urandom(1024) * 4096
    inflater.data(gzip.compress(text))
    inflater.end()
    assert sink.body == text[: len(sink.body)]
    assert len(sink.body) <= TURN_BYTES + PIECE_BYTES
    assert opened.calls == ["pause"]
    await sink.over.wait()
    assert sink.body == text
    assert max(map(len, sink.chunks)) <= PIECE_BYTES


async def test_a_sink_that_pauses_gets_no_more_until_it_resumes() -> None:
    """What is not asked for stays compressed, also when the provider has ended by then."""
    opened, sink = Opened(), PausingSink()
    inflater = sink.inflater = Inflater(opened, "gzip")
    inflater.target = sink
    text = os.urandom(PIECE_BYTES) * 4
    packed = gzip.compress(text)
    inflater.data(packed[:-9])
    inflater.data(packed[-9:])
    inflater.end()
    pieces = 1
    while not sink.endings:
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(sink.chunks) == pieces
        inflater.resume()
        await asyncio.sleep(0)
        pieces = len(sink.chunks)
    assert pieces > 3
    assert (sink.body, sink.endings) == (text, [None])


async def test_a_bomb_is_refused() -> None:
    """What grows a thousandfold is cut soon after the first MiB, and the connection closed."""
    inflater, sink, opened = open_inflater()
    inflater.data(gzip.compress(bytes(64 << 20)))
    await sink.over.wait()
    assert isinstance(sink.endings[0], UpstreamTooLarge)
    assert len(sink.body) < 9 << 20
    assert "close" in opened.calls


async def test_a_small_body_may_grow_as_it_likes() -> None:
    """Up to a MiB no ratio is asked for."""
    inflater, sink, _ = open_inflater()
    inflater.data(gzip.compress(bytes(1 << 20)))
    inflater.end()
    await sink.over.wait()
    assert (len(sink.body), sink.endings) == (1 << 20, [None])


@pytest.mark.parametrize("packer", PACKERS)
async def test_a_body_that_was_cut_is_truncated(packer: str) -> None:
    """Cut anywhere, also inside the checksum, it gives what was good and no good end."""
    encoding, pack = PACKERS[packer]
    packed = pack(TEXT)
    for length in (1, 5, len(packed) // 2, len(packed) - 1):
        inflater, sink, _ = open_inflater(encoding)
        inflater.data(packed[:length])
        inflater.end()
        assert TEXT.startswith(sink.body)
        assert type(sink.endings[0]) is UpstreamTruncated


@pytest.mark.parametrize("place", [0, 5, 200, -5, -1])
async def test_a_damaged_body_is_no_success(place: int) -> None:
    """Changed bytes, of the data or of its checksum, break the body and the connection."""
    packed = bytearray(gzip.compress(os.urandom(4096)))
    packed[place] ^= 0xFF
    inflater, sink, _ = open_inflater()
    inflater.data(bytes(packed))
    inflater.end()
    if place == 5:
        # A time stamp of nobody's interest.
        assert sink.endings == [None]
    else:
        assert type(sink.endings[0]) is UpstreamTruncated
        assert len(sink.endings) == 1


async def test_a_plain_body_that_claims_to_be_compressed_is_no_success() -> None:
    """The header lied: whatever came out of it, the end is a bad one."""
    for encoding in ("gzip", "deflate"):
        inflater, sink, _ = open_inflater(encoding)
        inflater.data(b'{"choices":[]}')
        inflater.end()
        assert type(sink.endings[0]) is UpstreamTruncated


@pytest.mark.parametrize(
    "rest", [b"x", bytes(100), gzip.compress(b"second")], ids=["text", "zeros", "gzip"]
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_stands_behind_the_end_is_dropped(rest: bytes, at_once: bool) -> None:
    """The body is whole without it; its connection is closed and nothing of it passes."""
    inflater, sink, opened = open_inflater()
    packed = gzip.compress(TEXT)
    for piece in [packed + rest] if at_once else [packed, rest]:
        inflater.data(piece)
    assert (sink.body, sink.endings) == (TEXT, [None])
    assert "close" in opened.calls
    inflater.data(b"more")
    inflater.end()
    assert sink.endings == [None]


async def test_an_empty_body_is_an_empty_body() -> None:
    """Nothing at all needs no inflating."""
    inflater, sink, _ = open_inflater()
    inflater.end()
    assert (sink.body, sink.endings) == (b"", [None])


async def test_a_broken_connection_is_told_after_what_came_before_it() -> None:
    """The transport's own word for the fault arrives, once, behind all that was good."""
    inflater, sink, _ = open_inflater()
    inflater.data(gzip.compress(TEXT)[:-20])
    inflater.fail(UpstreamDisconnected())
    assert sink.body
    assert [type(error) for error in sink.endings] == [UpstreamDisconnected]


async def test_closing_drops_all_that_waits() -> None:
    """After `close` nothing more is pushed."""
    inflater, sink, opened = open_inflater()
    inflater.data(gzip.compress(os.urandom(1024) * 4096))
    pieces = len(sink.chunks)
    inflater.close()
    for _ in range(5):
        await asyncio.sleep(0)
    inflater.data(b"x")
    inflater.end()
    assert len(sink.chunks) == pieces
    assert sink.endings == []
    assert opened.calls[-1] == "close"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", ""),
        ("identity", ""),
        (" Identity ", ""),
        ("GZIP", "gzip"),
        ("x-gzip", "x-gzip"),
        ("deflate", "deflate"),
    ],
)
def test_encodings_that_can_be_read(given: str, found: str) -> None:
    """Names are known in any case; none and `identity` are the same."""
    assert check_encoding(given) == found


@pytest.mark.parametrize("given", ["br", "zstd", "gzip, gzip", "gzip,br", "compress", "x", ","])
def test_encodings_that_cannot_be_read(given: str) -> None:
    """Several encodings, and unknown ones, are refused by their own code."""
    with pytest.raises(UpstreamProtocolError) as refusal:
        check_encoding(given)
    assert refusal.value.code == "unsupported_encoding"
