"""How a body comes out of aiohttp's parser: read by read, and with no ring left behind."""

import asyncio
import gc
import weakref

import pytest

from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import OpenedResponse
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import build_provider
from tests.fakes.raw_upstream import RawUpstream, UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, take_turns

pytestmark = pytest.mark.usefixtures("no_leaks")


class Gated:
    """A script that sends a head at once, and its body when `go` is set."""

    def __init__(self, body: bytes) -> None:
        self.go = asyncio.Event()
        self._body = body

    async def __call__(self, connection: UpstreamConnection) -> None:
        """Answer one request."""
        await connection.read_request()
        await connection.start_chunked()
        await self.go.wait()
        await connection.write(self._body)
        await connection.watch()


def open_transport(upstream: RawUpstream) -> AiohttpTransport:
    """Open a transport to an upstream."""
    return AiohttpTransport(build_provider(upstream.url), Resolver())


async def test_chunks_of_one_read_are_one_call() -> None:
    """Three HTTP chunks that come in one read reach the sink together."""
    script = Gated(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
    async with open_raw_upstream(script) as upstream:
        transport = open_transport(upstream)
        sink = RecordingSink()
        (await transport.open(build_request(upstream), sink)).resume()
        script.go.set()
        await sink.over.wait()
        assert (sink.chunks, sink.endings) == ([b"abc"], [None])
        await transport.close()


async def test_a_sink_that_closes_hears_no_more() -> None:
    """An answer that is closed from within `data` gives neither more bytes nor an end."""

    class Closing(RecordingSink):
        response: OpenedResponse

        def data(self, chunk: bytes) -> None:
            super().data(chunk)
            self.response.close()

    script = Gated(b"1\r\na\r\n0\r\n\r\n")
    async with open_raw_upstream(script) as upstream:
        transport = open_transport(upstream)
        sink = Closing()
        sink.response = await transport.open(build_request(upstream), sink)
        sink.response.resume()
        script.go.set()
        await upstream.connections[0].wait_closed()
        assert (sink.chunks, sink.endings) == ([b"a"], [])
        await transport.close()


async def test_a_finished_answer_waits_for_no_collector() -> None:
    """Sink and answer are gone with their last holder, while their connection is kept."""
    script = Gated(b"1\r\na\r\n0\r\n\r\n")
    async with open_raw_upstream(script) as upstream:
        transport = open_transport(upstream)
        sink = RecordingSink()
        over = sink.over
        (await transport.open(build_request(upstream), sink)).resume()
        left = weakref.ref(sink)
        gc.disable()
        try:
            del sink
            script.go.set()
            await over.wait()
            await take_turns()
            assert left() is None
        finally:
            gc.enable()
        assert not upstream.connections[0].closed_by_peer.is_set()
        await transport.close()
