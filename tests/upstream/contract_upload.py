"""The contract of uploads: bodies that go out while they come in."""

import asyncio
from itertools import repeat
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.domain.errors import (
    RequestTimeout,
    UpstreamDisconnected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest
from proxy.upstream.base import Transport
from tests.fakes.made_upload import MadeUpload
from tests.fakes.ports import find_port
from tests.fakes.raw_upstream import (
    RawUpstream,
    UpstreamConnection,
    open_raw_upstream,
    stay_until_closed,
)
from tests.fakes.recording_sink import RecordingSink
from tests.fakes.trust import Trust
from tests.faults.fault_upstream import build_server_tls
from tests.upstream.asking import Transports, build_request, fetch, take_turns

PIECE = b"0123456789abcdef" * 4096
"""64 KiB."""
ENDLESS = 10_000
"""Pieces of an upload that is never sent whole: 640 MB."""


def build_upload(upstream: RawUpstream | int, upload: MadeUpload, **clocks: Any) -> OutboundRequest:
    """Return a request that is no stream, with an upload as its body."""
    return replace(build_request(upstream, b"", **clocks), upload=upload, streams=False)


class UploadContract:
    """What becomes of a body that is not here yet."""

    async def test_an_upload_of_known_size_arrives_whole(self, transport: Transport) -> None:
        """Its length is announced, its pieces follow, and the connection serves another request."""
        seen: list[tuple[dict[str, str], bytes]] = []

        async def script(connection: UpstreamConnection) -> None:
            for _ in range(2):
                seen.append((await connection.read_request())[1:])
                await connection.answer(b"{}")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload(repeat(PIECE, 31), 31 * len(PIECE))
            assert (await fetch(transport, build_upload(upstream, upload))).body == b"{}"
            assert (await fetch(transport, build_request(upstream))).body == b"{}"
            assert len(upstream.connections) == 1
        assert seen[0][1] == PIECE * 31
        assert seen[0][0]["content-length"] == str(31 * len(PIECE))

    async def test_an_upload_of_unknown_size_goes_in_chunks(self, transport: Transport) -> None:
        """Without a length each piece is an HTTP chunk, and an empty one ends them."""
        got = b""
        headers: dict[str, str] = {}

        async def script(connection: UpstreamConnection) -> None:
            nonlocal got
            headers.update((await connection.read_head())[1])
            while not got.endswith(b"0\r\n\r\n"):
                got += await connection.read_some()
            await connection.answer(b"{}")
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload([b"one", b"twenty-one bytes long"])
            assert (await fetch(transport, build_upload(upstream, upload))).body == b"{}"
        assert headers["transfer-encoding"] == "chunked"
        assert "content-length" not in headers
        assert got == b"3\r\none\r\n15\r\ntwenty-one bytes long\r\n0\r\n\r\n"

    async def test_an_upload_never_takes_a_connection_that_was_used(
        self, transport: Transport
    ) -> None:
        """What could have died in the pool is left there: an upload cannot be sent twice."""

        async def script(connection: UpstreamConnection) -> None:
            while True:
                await connection.read_request()
                await connection.answer(b"{}")

        async with open_raw_upstream(script) as upstream:
            await fetch(transport, build_request(upstream))
            await fetch(transport, build_upload(upstream, MadeUpload([b"abc"], 3)))
            assert len(upstream.connections) == 2

    async def test_an_upload_goes_no_faster_than_it_is_taken(self, transport: Transport) -> None:
        """Of a body that nobody reads no more is taken than sockets hold (a few MB of 640)."""
        may_read = asyncio.Event()

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await may_read.wait()
            await connection.answer(b"{}", status=413)
            connection.close()

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload(repeat(PIECE, ENDLESS), ENDLESS * len(PIECE))
            asking = asyncio.ensure_future(fetch(transport, build_upload(upstream, upload)))
            taken_bytes = 0
            while not taken_bytes or taken_bytes != upload.taken_bytes:
                taken_bytes = upload.taken_bytes
                await take_turns(200)
            assert taken_bytes < 32_000_000
            may_read.set()
            assert (await asking).body == b"{}"

    async def test_an_upload_passes_over_tls(self, transports: Transports, trust: Trust) -> None:
        """Encrypted it arrives as whole, and is held up by a provider that does not read."""
        trust("ca.pem")
        may_read = asyncio.Event()
        sizes: list[int] = []

        async def script(connection: UpstreamConnection) -> None:
            await may_read.wait()
            sizes.append(len((await connection.read_request())[2]))
            await connection.answer(b"{}")
            await stay_until_closed(connection)

        transport = transports.open("https://127.0.0.1")
        async with open_raw_upstream(script, build_server_tls()) as upstream:
            upload = MadeUpload(repeat(PIECE, 500), 500 * len(PIECE))
            url = f"https://127.0.0.1:{upstream.port}/v1"
            request = replace(build_upload(upstream, upload), url=url)
            asking = asyncio.ensure_future(fetch(transport, request))
            await take_turns(500)
            assert upload.taken_bytes < 500 * len(PIECE)
            may_read.set()
            assert (await asking).body == b"{}"
        assert sizes == [500 * len(PIECE)]

    async def test_an_early_answer_stops_an_upload(self, transport: Transport) -> None:
        """An answer within the body is returned, and nothing follows on its connection."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await connection.answer(b"too large", status=413)
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload([PIECE], ENDLESS, waits=True)
            sink = RecordingSink()
            opened = await transport.open(build_upload(upstream, upload), sink)
            assert opened.head.status == 413
            assert upload.was_cancelled
            opened.resume()
            await sink.over.wait()
            assert (sink.body, sink.endings) == (b"too large", [None])
            await upstream.connections[0].wait_closed()

    async def test_what_breaks_an_upload_closes_its_connection(self, transport: Transport) -> None:
        """An upload that fails is raised as it failed, and the provider is let go of."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload([PIECE], ENDLESS, error=RequestTimeout())
            with pytest.raises(RequestTimeout):
                await transport.open(build_upload(upstream, upload), RecordingSink())
            await upstream.connections[0].wait_closed()

    async def test_cancelling_an_upload_closes_its_connection(self, transport: Transport) -> None:
        """Who is cancelled in the middle of a body lets go of provider and body."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload([PIECE], ENDLESS, waits=True)
            request = build_upload(upstream, upload)
            asking = asyncio.ensure_future(transport.open(request, RecordingSink()))
            await upload.is_waiting.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert upload.was_cancelled
            await upstream.connections[0].wait_closed()

    async def test_a_provider_that_leaves_ends_an_upload(self, transport: Transport) -> None:
        """A connection that closes in the middle of the body is UpstreamDisconnected."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            connection.reset()

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload(repeat(PIECE, ENDLESS), ENDLESS * len(PIECE))
            with pytest.raises(UpstreamDisconnected):
                await transport.open(build_upload(upstream, upload), RecordingSink())

    async def test_a_provider_that_takes_nothing_is_given_up(self, transport: Transport) -> None:
        """A body that is not taken for `idle_s` is upstream_stalled."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await asyncio.Event().wait()

        async with open_raw_upstream(script) as upstream:
            upload = MadeUpload(repeat(PIECE, ENDLESS), ENDLESS * len(PIECE))
            with pytest.raises(UpstreamTimeout) as caught:
                await transport.open(build_upload(upstream, upload, idle_s=0.2), RecordingSink())
        assert caught.value.code == "upstream_stalled"

    async def test_the_clock_of_the_answer_begins_behind_the_upload(
        self, transport: Transport
    ) -> None:
        """A provider that has it all and says nothing for `answer_s` is upstream_header_timeout."""

        async def script(connection: UpstreamConnection) -> None:
            await connection.read_head()
            await stay_until_closed(connection)

        async with open_raw_upstream(script) as upstream:
            request = build_upload(upstream, MadeUpload([b"abc"], 3), answer_s=0.05)
            with pytest.raises(UpstreamTimeout) as caught:
                await transport.open(request, RecordingSink())
            await upstream.connections[0].wait_closed()
        assert caught.value.code == "upstream_header_timeout"

    async def test_nothing_of_an_upload_is_taken_where_nobody_listens(
        self, transport: Transport
    ) -> None:
        """Where there is no connection the body is untouched: it may go elsewhere."""
        upload = MadeUpload([b"abc"], 3)
        with pytest.raises(UpstreamUnreachable):
            await transport.open(build_upload(find_port(), upload), RecordingSink())
        assert upload.taken_bytes == 0
