"""The contract of endings: cuts, closes, timeouts, cancellation."""

import asyncio

import pytest

from proxy.domain.errors import (
    UpstreamDisconnected,
    UpstreamTimeout,
)
from proxy.upstream.base import Transport
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request

SECONDS_TO_NOTICE = 0.1


class EndingsContract:
    """How an answer ends, and that nothing follows."""

    @pytest.mark.parametrize("how", ["chunked cut", "chunked reset", "length short"])
    async def test_a_cut_body_fails(self, transport: Transport, how: str) -> None:
        """A body that breaks before its own end fails, after what came of it has been pushed."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            if how == "length short":
                await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            else:
                await connection.start_chunked()
                await connection.chunk(b"abc")
            await got_it.wait()
            if how == "chunked reset":
                connection.reset()
            else:
                connection.close()

        got_it = asyncio.Event()
        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.got_data.wait()
            got_it.set()
            await sink.over.wait()
            assert sink.body == b"abc"
            assert [type(ending) for ending in sink.endings] == [UpstreamDisconnected]

    async def test_nothing_is_called_after_close(self, transport: Transport) -> None:
        """`close` drops the body silently, closes the connection soon, and may be repeated."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.start_chunked()
            await connection.chunk(b"abc")
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            opened.resume()
            await sink.got_data.wait()
            closed_s = asyncio.get_running_loop().time()
            opened.close()
            opened.close()
            noticed_s = await upstream.connections[0].wait_closed()
            assert noticed_s - closed_s < SECONDS_TO_NOTICE * 10
            assert sink.endings == []

    async def test_close_before_resume_closes_the_connection(self, transport: Transport) -> None:
        """An answer whose body is not wanted costs its connection and nothing else."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.start_chunked()
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            opened.close()
            await upstream.connections[0].wait_closed()
            opened.resume()
            assert (sink.chunks, sink.endings) == ([], [])

    @pytest.mark.parametrize("how", ["close", "reset"])
    async def test_no_answer_at_all_is_a_disconnect(self, transport: Transport, how: str) -> None:
        """A fresh connection that breaks before its head is not tried again by the transport."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            if how == "reset":
                connection.reset()
            else:
                connection.close()

        async with open_raw_upstream(script) as upstream:
            with pytest.raises(UpstreamDisconnected):
                await transport.open(build_request(upstream), RecordingSink())
            assert len(upstream.connections) == 1

    async def test_a_late_head_runs_into_its_clock(self, transport: Transport) -> None:
        """A head that is not there within `headers_s` is a timeout; the connection is closed."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            with pytest.raises(UpstreamTimeout) as caught:
                await transport.open(build_request(upstream, headers_s=0.05), RecordingSink())
            assert caught.value.code == "upstream_header_timeout"
            await upstream.connections[0].wait_closed()

    async def test_cancelling_open_closes_the_connection(self, transport: Transport) -> None:
        """A cancelled `open` leaves no connection behind."""
        arrived = asyncio.Event()

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            arrived.set()
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            task = asyncio.ensure_future(transport.open(build_request(upstream), RecordingSink()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await upstream.connections[0].wait_closed()

    async def test_closing_the_transport_fails_what_is_open(self, transport: Transport) -> None:
        """Closing a transport ends its open answers with UpstreamDisconnected."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.start_chunked()
            await connection.chunk(b"abc")
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.got_data.wait()
            await transport.close()
            await sink.over.wait()
            assert [type(ending) for ending in sink.endings] == [UpstreamDisconnected]

    async def test_an_answer_that_was_not_resumed_fails_when_it_is(
        self, transport: Transport
    ) -> None:
        """A transport that closes calls no sink whose body nobody has asked for yet."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.start_chunked()
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            await transport.close()
            assert sink.endings == []
            opened.resume()
            await sink.over.wait()
            assert [type(ending) for ending in sink.endings] == [UpstreamDisconnected]
