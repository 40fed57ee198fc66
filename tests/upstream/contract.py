"""
The words of `proxy/upstream/base.py` as tests, the same for every transport over HTTP.

A test class for one implementation inherits from TransportContract and has a fixture
`transport`.
"""

import asyncio
from typing import Any

import pytest

from proxy.domain.errors import (
    UpstreamDisconnected,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.upstream.base import Transport
from tests.fakes.raw_upstream import (
    RawUpstream,
    UpstreamConnection,
    open_raw_upstream,
    stay_until_closed,
)
from tests.fakes.recording_sink import RecordingSink

SECONDS_TO_NOTICE = 0.1


def build_request(
    upstream: RawUpstream | int, body: bytes = b"{}", **clocks: Any
) -> OutboundRequest:
    """Return a streamed POST to an upstream, with clocks of a test's choice."""
    port = upstream if isinstance(upstream, int) else upstream.port
    return OutboundRequest(
        provider="p",
        method="POST",
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        headers={"Content-Type": "application/json", "Authorization": "Bearer k"},
        body=body,
        streams=True,
        clocks=Clocks(**clocks),
    )


class TransportContract:
    """What every HTTP transport promises."""

    async def test_head_comes_first_and_the_body_waits_for_resume(
        self, transport: Transport
    ) -> None:
        """`open` returns status and headers; no byte of the body is pushed before `resume`."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.answer(b"hello", status=201, extra="X-Thing: a b\r\n")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            assert opened.head.status == 201
            assert opened.head.headers.get("x-thing") == "a b"
            assert opened.head.media_type == "application/json"
            for _ in range(10):
                await asyncio.sleep(0)
            assert sink.chunks == []
            assert sink.endings == []
            opened.resume()
            opened.resume()
            await sink.over.wait()
            assert sink.body == b"hello"
            assert sink.endings == [None]

    async def test_request_goes_out_as_given(self, transport: Transport) -> None:
        """Method, path, headers and body arrive as given, with nothing about this machine."""
        seen: list[tuple[str, dict[str, str], bytes]] = []

        async def script(connection: UpstreamConnection) -> None:
            seen.append(await connection.read_request())
            await connection.answer(b"{}")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            body = b'{"n": 1.000}' * 100
            sink = RecordingSink()
            (await transport.open(build_request(upstream, body), sink)).resume()
            await sink.over.wait()
        line, headers, sent = seen[0]
        assert line == "POST /v1/chat/completions HTTP/1.1"
        assert sent == body
        assert headers["authorization"] == "Bearer k"
        assert set(headers) <= {
            "host", "authorization", "content-type", "content-length", "accept",
            "accept-encoding", "user-agent", "connection",
        }  # fmt: skip

    async def test_large_body_arrives_whole(self, transport: Transport) -> None:
        """A request body of several megabytes is sent completely."""
        sizes: list[int] = []

        async def script(connection: UpstreamConnection) -> None:
            sizes.append(len((await connection.read_request())[2]))
            await connection.answer(b"{}")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream, b"x" * 5_000_000), sink)).resume()
            await sink.over.wait()
        assert sizes == [5_000_000]

    async def test_chunks_arrive_while_the_body_still_runs(self, transport: Transport) -> None:
        """Each chunk is pushed when it has come, not when the body has ended."""
        may_go_on = asyncio.Event()

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.start_chunked()
            await connection.chunk(b"one")
            await may_go_on.wait()
            await connection.chunk(b"two")
            await connection.chunk(b"")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.got_data.wait()
            assert sink.body == b"one"
            may_go_on.set()
            await sink.over.wait()
            assert sink.body == b"onetwo"
            assert sink.endings == [None]

    async def test_body_without_length_ends_with_the_connection(self, transport: Transport) -> None:
        """A body that only the connection's close delimits is complete at its close."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nabc")
            connection.close()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.over.wait()
            assert (sink.body, sink.endings) == (b"abc", [None])

    @pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 503])
    async def test_every_status_is_an_answer(self, transport: Transport, status: int) -> None:
        """A status that is no success is returned like any other; redirects are not followed."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.answer(b"no", status=status, extra="Location: http://127.0.0.1:1/\r\n")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            assert opened.head.status == status
            opened.resume()
            await sink.over.wait()
            assert sink.body == b"no"
            assert len(upstream.connections) == 1

    async def test_compressed_bodies_stay_compressed(self, transport: Transport) -> None:
        """A compressed body is pushed as it came: whoever asked decides whether to inflate it."""
        body = b"\x1f\x8b not really gzip"

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.answer(body, extra="Content-Encoding: gzip\r\n")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            (await transport.open(build_request(upstream), sink)).resume()
            await sink.over.wait()
            assert sink.body == body

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

    @pytest.mark.parametrize("status", [204, 304])
    async def test_an_answer_without_a_body_ends_at_once(
        self, transport: Transport, status: int
    ) -> None:
        """A status that has no body is complete when it is resumed, and its connection stays."""

        async def script(connection: UpstreamConnection) -> None:
            while True:
                await connection.read_request()
                await connection.write(b"HTTP/1.1 %d Nothing\r\n\r\n" % status)

        async with open_raw_upstream(script) as upstream:
            for _ in range(2):
                sink = RecordingSink()
                (await transport.open(build_request(upstream), sink)).resume()
                await sink.over.wait()
                assert (sink.body, sink.endings) == (b"", [None])
            assert len(upstream.connections) == 1

    async def test_interim_answers_are_passed_over_but_not_for_ever(
        self, transport: Transport
    ) -> None:
        """A few 1xx come before the answer; a flood of them is UpstreamProtocolError."""
        count = 3

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.write(b"HTTP/1.1 103 Early\r\n\r\n" * count)
            await connection.answer(b"{}")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            opened = await transport.open(build_request(upstream), RecordingSink())
            assert opened.head.status == 200
            opened.close()
            count = 1000
            with pytest.raises(UpstreamProtocolError):
                await transport.open(build_request(upstream), RecordingSink())

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

    async def test_pause_holds_the_peer_up(self, transport: Transport) -> None:
        """While paused the peer can send no more than buffers hold; `resume` gives it all."""
        piece = b"x" * 65536
        pieces = 1024
        sent = 0

        async def script(connection: UpstreamConnection) -> None:
            nonlocal sent
            await connection.read_request()
            await connection.start_chunked()
            for _ in range(pieces):
                await connection.chunk(piece)
                sent += 1
            await connection.chunk(b"")
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            sink = RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            opened.resume()
            await sink.got_data.wait()
            opened.pause()
            stalled_at, quiet_turns = -1, 0
            while quiet_turns < 200:
                await asyncio.sleep(0)
                quiet_turns = quiet_turns + 1 if sent == stalled_at else 0
                stalled_at = sent
            assert sent < pieces
            assert len(sink.body) <= 1024 * 1024
            opened.resume()
            await sink.over.wait()
            assert len(sink.body) == len(piece) * pieces
            assert sink.endings == [None]

    async def test_refused_connections_are_unreachable(
        self, transport: Transport, loopback_port: int
    ) -> None:
        """Nobody listening is UpstreamUnreachable."""
        with pytest.raises(UpstreamUnreachable):
            await transport.open(build_request(loopback_port), RecordingSink())

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

    @pytest.mark.parametrize(
        "junk",
        [
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA" + b"a" * 100_000,
        ],
    )
    async def test_junk_is_a_protocol_error(self, transport: Transport, junk: bytes) -> None:
        """A head that is not HTTP, or endless, is UpstreamProtocolError."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_request()
            await connection.write(junk)
            await connection.watch()

        async with open_raw_upstream(script) as upstream:
            with pytest.raises(UpstreamProtocolError):
                await transport.open(build_request(upstream), RecordingSink())

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
