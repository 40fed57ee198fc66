"""The contract of answers that are not HTTP: refused, hung up on, never mixed with the next."""

import pytest

from proxy.domain.errors import UpstreamProtocolError
from proxy.upstream.base import Transport
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, fetch

OK = b"HTTP/1.1 200 OK\r\n"
END = b"Content-Length: 4\r\n\r\ngood"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"4\r\ngood\r\n0\r\n\r\n"

BAD_HEADS = {
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no head": b"good",
    "no version": b"200 OK\r\n" + END,
    "version 2": b"HTTP/2.0 200 OK\r\n" + END,
    "version 1.2": b"HTTP/1.2 200 OK\r\n" + END,
    "status in letters": b"HTTP/1.1 abc\r\n" + END,
    "status 099": b"HTTP/1.1 099 OK\r\n" + END,
    "status 600": b"HTTP/1.1 600 OK\r\n" + END,
    "status of four digits": b"HTTP/1.1 2000 OK\r\n" + END,
    "endless reason": b"HTTP/1.1 200 " + b"O" * 9000,
    "long reason": b"HTTP/1.1 200 " + b"O" * 9000 + b"\r\n" + END,
    "endless header": OK + b"A" + b"a" * 100_000,
    "long header": OK + b"X-A: " + b"a" * 9000 + b"\r\n" + END,
    "long name": OK + b"X-" + b"a" * 9000 + b": b\r\n" + END,
    "129 headers": OK + b"".join(b"X-%d: a\r\n" % n for n in range(128)) + END,
    "header without colon": OK + b"nonsense\r\n" + END,
    "nul in a header": OK + b"X-A: a\0b\r\n" + END,
    "bare cr in a header": OK + b"X-A: a\rb\r\n" + END,
    "two lengths": OK + b"Content-Length: 2\r\n" + END,
    "list of lengths": OK + b"Content-Length: 4, 4\r\n\r\ngood",
    "negative length": OK + b"Content-Length: -4\r\n\r\ngood",
    "signed length": OK + b"Content-Length: +4\r\n\r\ngood",
    "hex length": OK + b"Content-Length: 0x4\r\n\r\ngood",
    "length above all": OK + b"Content-Length: 99999999999999999999999\r\n\r\ngood",
    "length and chunks": OK + b"Transfer-Encoding: chunked\r\n" + END,
    "chunks and length": OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "gzip as transfer": OK + b"Transfer-Encoding: gzip\r\n\r\ngood",
    "gzip under chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "chunks under gzip": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "nearly chunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "another protocol's turn": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n"
    b"Connection: upgrade\r\n\r\n" + OK + END,
    "1xx flood": b"HTTP/1.1 103 Early\r\n\r\n" * 65 + OK + END,
    "1xx with a body": b"HTTP/1.1 103 Early\r\nContent-Length: 4\r\n\r\nevil" + OK + END,
    "first chunk in letters": CHUNKED + b"zz\r\ngood\r\n0\r\n\r\n",
}  # fmt: skip
"""Answers that must not be accepted, whatever stands behind their head."""

BAD_CHUNKS = {
    "letters": b"zz\r\n",
    "negative": b"-4\r\nevil\r\n0\r\n\r\n",
    "above all": b"f" * 20 + b"\r\nevil\r\n0\r\n\r\n",
    "longer than it says": b"4\r\nevilX0\r\n\r\n",
    "trailers without end": b"0\r\n" + b"X-A: b\r\n" * 1000,
    "endless trailer": b"0\r\nX-A: " + b"b" * 100_000,
}
"""What may stand where the second chunk of a body should."""


class DistrustContract:
    """What a broken or hostile server can send, and what becomes of it."""

    @pytest.mark.parametrize("bad", BAD_HEADS.values(), ids=BAD_HEADS.keys())
    async def test_a_bad_head_is_refused_and_its_connection_closed(
        self, transport: Transport, bad: bytes
    ) -> None:
        """A head that is not HTTP as asked for is UpstreamProtocolError; the next is whole."""

        async def script(connection: UpstreamConnection) -> None:
            _, _, tag = await connection.read_request()
            if tag == b"first":
                await connection.write(bad)
            else:
                await connection.answer(tag)
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            with pytest.raises(UpstreamProtocolError):
                await transport.open(build_request(upstream, b"first"), RecordingSink())
            await upstream.connections[0].wait_closed()
            sink = await fetch(transport, build_request(upstream, b"second"))
            assert (sink.body, sink.endings) == (b"second", [None])

    @pytest.mark.parametrize("bad", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
    async def test_a_bad_chunk_fails_the_body_and_closes_the_connection(
        self, transport: Transport, bad: bytes
    ) -> None:
        """What is no chunk breaks the body behind the good ones, and reaches no other request."""

        async def script(connection: UpstreamConnection) -> None:
            _, _, tag = await connection.read_request()
            if tag == b"second":
                await connection.answer(tag)
            else:
                await connection.write(CHUNKED + b"4\r\ngood\r\n")
                await sink.got_data.wait()
                await connection.write(bad)
            await connection.watch()

        sink = RecordingSink()
        async with open_raw_upstream(script) as upstream:
            (await transport.open(build_request(upstream, b"first"), sink)).resume()
            await sink.over.wait()
            assert sink.body.startswith(b"good")
            assert [type(ending) for ending in sink.endings] == [UpstreamProtocolError]
            await upstream.connections[0].wait_closed()
            after = await fetch(transport, build_request(upstream, b"second"))
            assert (after.body, after.endings) == (b"second", [None])

    @pytest.mark.parametrize(
        "good",
        [
            OK + b"".join(b"X-%d: a\r\n" % n for n in range(127)) + END,
            OK + b"X-A: " + b"a" * 8000 + b"\r\n" + END,
            b"HTTP/1.1 103 Early\r\n\r\n" * 60 + OK + END,
            CHUNKED + b"4;name=value\r\ngood\r\n0\r\nX-Trailer: a\r\n\r\n",
        ],
        ids=["128 headers", "8000 bytes of header", "60 interim answers", "trailers"],
    )
    async def test_what_is_unusual_but_good_is_accepted(
        self, transport: Transport, good: bytes
    ) -> None:
        """Heads just below the limits, interim answers, chunk extensions and trailers are HTTP."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.write(good)
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = await fetch(transport, build_request(upstream))
            assert (sink.body, sink.endings) == (b"good", [None])
