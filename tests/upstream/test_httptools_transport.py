"""The transport of our own keeps the contract."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.errors import UpstreamDisconnected, UpstreamError, UpstreamProtocolError
from proxy.domain.settings import PoolLimits
from proxy.upstream.base import Transport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.httptools_transport import HttptoolsTransport
from proxy.upstream.resolver import Resolver
from tests.fakes.raw_upstream import RawUpstream, UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import Transports, build_request, fetch, opening, take_turns
from tests.upstream.contract import TransportContract
from tests.upstream.contract_dial import answer_all

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_loops]


def _make(provider: Provider, resolver: Resolver | None, cap: ConnectionCap | None) -> Transport:
    return HttptoolsTransport(provider, resolver or Resolver(), cap)


@pytest.fixture
async def transports() -> AsyncIterator[Transports]:
    """Opens transports of our own, and closes them."""
    async with opening(_make) as transports:
        yield transports


@pytest.fixture
async def transport(transports: Transports) -> Transport:
    """A transport to 127.0.0.1 with default limits."""
    return transports.open()


class TestHttptoolsTransport(TransportContract):
    """The shared contract, over our own transport."""


FAILURES = {
    "closed": b"",
    "junk": b"junk",
    "junk in a body": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz",
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
async def test_nothing_of_a_failed_request_waits_for_the_collector(
    transport: Transport, answer: bytes
) -> None:
    """Request and sink are let go of with the last who holds them: thousands may fail at once."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(answer)
        connection.close()

    async def fail(upstream: RawUpstream) -> weakref.ref[RecordingSink]:
        sink = RecordingSink()
        with suppress(UpstreamError):
            await transport.open(build_request(upstream), sink)
        return weakref.ref(sink)

    async with open_raw_upstream(script) as upstream:
        gc.disable()
        try:
            sink = await fail(upstream)
            await take_turns()
            assert sink() is None
        finally:
            gc.enable()


async def test_a_response_that_is_not_valid_says_why(transport: Transport) -> None:
    """The detail tells an operator what was refused; the message for clients does not."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        with pytest.raises(UpstreamProtocolError) as caught:
            await transport.open(build_request(upstream), RecordingSink())
    assert caught.value.detail == "Missing expected CR after response line"
    assert "CR" not in caught.value.message


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\nb", "a\0b", "\u20ac"])
async def test_a_header_that_cannot_be_sent_takes_no_slot(
    transports: Transports, value: str
) -> None:
    """It would be a fault of ours: nothing is sent, and the next request has its connection."""
    transport = transports.open(pool=PoolLimits(max_connections=1))
    async with open_raw_upstream(answer_all) as upstream:
        request = build_request(upstream)
        for _ in range(2):
            with pytest.raises(ValueError, match=r"header|latin-1"):
                await transport.open(replace(request, headers={"X": value}), RecordingSink())
        assert transport.has_room
        assert (await fetch(transport, request)).endings == [None]


async def test_who_waits_for_a_slot_of_a_transport_that_closes_dials_nobody(
    transports: Transports,
) -> None:
    """Its slot comes free by the close, and it is told so instead of being connected."""
    transport = transports.open(pool=PoolLimits(max_connections=1))

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        await transport.open(build_request(upstream), RecordingSink())
        waiting = asyncio.ensure_future(transport.open(build_request(upstream), RecordingSink()))
        await take_turns(3)
        await transport.close()
        with pytest.raises(UpstreamDisconnected):
            await waiting
        assert len(upstream.connections) == 1
