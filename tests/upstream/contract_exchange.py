"""The contract of a good exchange: request out, head, body, pauses."""

import asyncio

import pytest
from msgspec.structs import replace

from proxy.domain.errors import (
    UpstreamProtocolError,
)
from proxy.upstream.base import OpenedResponse, Transport
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream, stay_until_closed
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request, fetch, take_turns


class _PausingSink(RecordingSink):
    """Pauses its response from within its first `data`."""

    opened: OpenedResponse

    def data(self, chunk: bytes) -> None:
        """Take bytes."""
        if not self.chunks:
            self.opened.pause()
        super().data(chunk)


class ExchangeContract:
    """What goes out and what comes back."""

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

    @pytest.mark.parametrize(("method", "length"), [("GET", None), ("POST", "0")])
    async def test_only_a_get_without_content_says_nothing_of_a_length(
        self, transport: Transport, method: str, length: str | None
    ) -> None:
        """A GET goes out without body and Content-Length, an empty POST with one of 0."""
        seen: list[tuple[str, dict[str, str]]] = []

        async def script(connection: UpstreamConnection) -> None:
            for _ in range(2):
                # The second would begin with whatever the first has left.
                seen.append(await connection.read_head())
                await connection.answer(b"{}")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            for _ in range(2):
                sink = RecordingSink()
                request = replace(build_request(upstream, b""), method=method)
                (await transport.open(request, sink)).resume()
                await sink.over.wait()
            assert len(upstream.connections) == 1
        for line, headers in seen:
            assert line == f"{method} /v1/chat/completions HTTP/1.1"
            assert headers.get("content-length") == length
            assert "transfer-encoding" not in headers

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
            while True:
                await connection.read_request()
                await connection.write(b"HTTP/1.1 103 Early\r\n\r\n" * count)
                await connection.answer(b"{}")

        async with open_raw_upstream(script) as upstream:
            opened = await transport.open(build_request(upstream), RecordingSink())
            assert opened.head.status == 200
            opened.close()
            count = 1000
            with pytest.raises(UpstreamProtocolError):
                await transport.open(build_request(upstream), RecordingSink())

    @pytest.mark.parametrize("streams", [True, False])
    async def test_little_of_a_paused_stream_and_much_of_other_answers_waits_unread(
        self, transport: Transport, streams: bool
    ) -> None:
        """One read brings 128 KiB of a paused stream at most, of another answer more than that."""
        piece = b"x" * 65536
        sent = 0

        async def script(connection: UpstreamConnection) -> None:
            nonlocal sent
            # First an answer of the other kind: what was good for it must not stay.
            await connection.read_request()
            await connection.answer(b"{}")
            await connection.read_request()
            await connection.start_chunked()
            for _ in range(256):
                await connection.chunk(piece)
                sent += 1
            await connection.chunk(b"")

        async with open_raw_upstream(script) as upstream:
            request = build_request(upstream)
            await fetch(transport, replace(request, streams=not streams))
            sink = RecordingSink()
            opened = await transport.open(replace(request, streams=streams), sink)
            opened.resume()
            opened.pause()
            stalled_at, quiet_turns = -1, 0
            while quiet_turns < 200:
                await asyncio.sleep(0)
                quiet_turns = quiet_turns + 1 if sent == stalled_at else 0
                stalled_at = sent
            before = len(sink.chunks)
            opened.resume()
            await sink.over.wait()
            assert len(upstream.connections) == 1
            assert (max(map(len, sink.chunks[before:])) <= 2 * 65536) is streams

    @pytest.mark.parametrize("is_at_once", [False, True])
    async def test_pause_holds_the_peer_up(self, transport: Transport, is_at_once: bool) -> None:
        """
        While paused the peer can send no more than buffers hold; `resume` gives it all.

        So it is for a sink that pauses while it is given the very first bytes, too.
        """
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
            sink = _PausingSink() if is_at_once else RecordingSink()
            opened = await transport.open(build_request(upstream), sink)
            if isinstance(sink, _PausingSink):
                sink.opened = opened
            await take_turns()
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
