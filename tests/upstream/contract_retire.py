"""The contract of a transport whose provider has left: what began is finished, nothing is kept."""

import asyncio

from proxy.upstream.base import Transport
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, fetch


async def answer_each(connection: UpstreamConnection) -> None:
    """Answer every request on a connection until the peer closes it."""
    try:
        while True:
            await connection.read_request()
            await connection.answer(b"{}")
    except asyncio.IncompleteReadError:
        connection.closed_by_peer.set()


class RetireContract:
    """What a transport does that is not to be used for new requests."""

    async def test_idle_connections_close_with_the_retirement(self, transport: Transport) -> None:
        """A connection that waits for its next request is closed at once."""
        async with open_raw_upstream(answer_each) as upstream:
            await fetch(transport, build_request(upstream))
            transport.retire()
            await upstream.connections[0].closed_by_peer.wait()

    async def test_an_answer_under_way_stays_whole(self, transport: Transport) -> None:
        """A stream that had begun goes on to its end, and then its connection closes."""
        may_end = asyncio.Event()

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.start_chunked()
            await connection.chunk(b"begin ")
            await may_end.wait()
            await connection.chunk(b"end")
            await connection.chunk(b"")
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.got_data.wait()
            transport.retire()
            may_end.set()
            await sink.over.wait()
            assert (sink.body, sink.endings) == (b"begin end", [None])
            await upstream.connections[0].wait_closed()

    async def test_late_requests_are_still_answered(self, transport: Transport) -> None:
        """Who asks afterwards gets an answer each time, over a connection that closes behind it."""
        async with open_raw_upstream(answer_each) as upstream:
            transport.retire()
            for _ in range(2):
                sink = await fetch(transport, build_request(upstream))
                assert (sink.body, sink.endings) == (b"{}", [None])
            assert len(upstream.connections) == 2
            for connection in upstream.connections:
                await connection.closed_by_peer.wait()
