"""The contract of connections that are used again: never at the price of a wrong answer."""

import asyncio

import pytest

from proxy.domain.errors import (
    UpstreamDisconnected,
    UpstreamProtocolError,
)
from proxy.upstream import base
from proxy.upstream.base import OpenedResponse, Transport
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream, stay_until_closed
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, fetch, take_turns


class PausingSink(RecordingSink):
    """A sink that pauses whenever something comes."""

    opened: OpenedResponse

    def data(self, chunk: bytes) -> None:
        """Take bytes, and want no more of them."""
        super().data(chunk)
        self.opened.pause()


class ReuseContract:
    """When a connection is used again, and when not."""

    async def test_connections_are_used_again(self, transport: Transport) -> None:
        """After a complete body the next request goes over the same connection."""

        async def script(connection: UpstreamConnection) -> None:
            while True:
                await connection.read_request()
                await connection.answer(b"{}")

        async with open_raw_upstream(script) as upstream:
            for _ in range(3):
                sink = RecordingSink()
                opened = await transport.open(build_request(upstream), sink)
                opened.resume()
                await sink.over.wait()
                opened.close()
            assert len(upstream.connections) == 1

    async def test_a_pause_at_the_end_of_a_body_ends_with_it(self, transport: Transport) -> None:
        """A sink that pauses on the last bytes does not keep the next answer from being heard."""
        may_end = asyncio.Event()

        async def script(connection: UpstreamConnection) -> None:
            while True:
                await connection.read_request()
                # The body comes in a read of its own, which ends it.
                await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
                await may_end.wait()
                await connection.write(b"{}")

        async with open_raw_upstream(script) as upstream:
            for _ in range(3):
                may_end.clear()
                sink = PausingSink()
                sink.opened = opened = await transport.open(build_request(upstream), sink)
                opened.resume()
                may_end.set()
                await sink.over.wait()
                assert sink.endings == [None]
                opened.close()
            assert len(upstream.connections) == 1

    async def test_a_connection_that_died_in_the_pool_is_replaced_once(
        self, transport: Transport
    ) -> None:
        """A pooled connection that the peer has closed costs no error: it goes out anew."""
        served = 0

        async def script(connection: UpstreamConnection) -> None:
            nonlocal served
            await connection.read_request()
            served += 1
            await connection.answer(b"{}")
            if served == 1:
                # The second request on this connection meets a close, and no byte of an answer.
                await connection.read_request()
                connection.close()
                return
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            for _ in range(2):
                sink = RecordingSink()
                (await transport.open(build_request(upstream), sink)).resume()
                await sink.over.wait()
                assert sink.endings == [None]
            assert served == 2
            assert len(upstream.connections) == 2

    async def test_who_had_time_to_begin_is_not_asked_again(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pooled connection that ends late had not died unnoticed: its request may be at work."""
        monkeypatch.setattr(base, "STALE_WITHIN_S", 0.0)
        requests = 0

        async def script(connection: UpstreamConnection) -> None:
            nonlocal requests
            for _ in range(2):
                await connection.read_request()
                requests += 1
                if requests == 2:
                    break
                await connection.answer(b"{}")
            connection.close()

        async with open_raw_upstream(script) as upstream:
            await fetch(transport, build_request(upstream))
            with pytest.raises(UpstreamDisconnected):
                await transport.open(build_request(upstream), RecordingSink())
        assert requests == 2

    @pytest.mark.parametrize("start", [b"HTTP/1.1 2", b"HTTP/1.1 100 Continue\r\n\r\n"])
    async def test_what_was_answered_in_part_is_never_sent_again(
        self, transport: Transport, start: bytes
    ) -> None:
        """Once a byte of an answer has come, a break is a break, also on a pooled connection."""
        requests = 0

        async def script(connection: UpstreamConnection) -> None:
            nonlocal requests
            while True:
                await connection.read_request()
                requests += 1
                if requests == 2:
                    await connection.write(start)
                    connection.close()
                    return
                await connection.answer(b"{}")

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.over.wait()
            with pytest.raises((UpstreamDisconnected, UpstreamProtocolError)):
                await transport.open(build_request(upstream), RecordingSink())
        assert requests == 2

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    @pytest.mark.parametrize("when", ["with the body", "later"])
    async def test_bytes_that_nobody_asked_for_never_answer_the_next_request(
        self, transport: Transport, framing: str, when: str
    ) -> None:
        """A connection on which more came than one answer is not used again (U32)."""
        sent = asyncio.Event()
        may_forge = asyncio.Event()
        forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

        async def script(connection: UpstreamConnection) -> None:
            _, _, tag = await connection.read_request()
            good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(tag), tag)
            if framing == "chunked":
                good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                good += b"%x\r\n%b\r\n0\r\n\r\n" % (len(tag), tag)
            if when == "with the body":
                await connection.write(good + forged)
            else:
                await connection.write(good)
                await may_forge.wait()
                await connection.write(forged)
            sent.set()
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            for tag in (b"first", b"second"):
                sink = await fetch(transport, build_request(upstream, tag))
                assert (sink.body, sink.endings) == (tag, [None])
                may_forge.set()
                await sent.wait()
                await take_turns()
            assert len(upstream.connections) == 2

    async def test_an_answer_before_the_request_was_sent_costs_the_connection(
        self, transport: Transport
    ) -> None:
        """An early 413 is read whole; what was left of the upload goes before no other request."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await connection.answer(b"too large", status=413)
            await may_read.wait()
            await connection.watch()

        may_read = asyncio.Event()
        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream, b"x" * 20_000_000), sink)
            opened.resume()
            await sink.over.wait()
            assert (opened.head.status, sink.body, sink.endings) == (413, b"too large", [None])
            may_read.set()
            await upstream.connections[0].wait_closed()

    async def test_an_early_answer_outlives_the_close_behind_it(self, transport: Transport) -> None:
        """A provider that answers 400 and hangs up while we upload is heard all the same (U40)."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await connection.answer(b"no", status=400, extra="Connection: close\r\n")
            connection.close()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream, b"x" * 20_000_000), sink)
            opened.resume()
            await sink.over.wait()
            assert (opened.head.status, sink.body, sink.endings) == (400, b"no", [None])
