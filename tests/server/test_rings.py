"""A client connection that has ended is let go of at once, not when the collector comes by."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from proxy.server.connection import ClientConnection
from proxy.server.lean_connection import LeanConnection
from tests.fakes.proxy_server import ANSWER, build_provider, build_snapshot, serving
from tests.fakes.raw_client import CHAT, RawClient, build_head, build_request, connecting
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = pytest.mark.both_loops

CLOSE = "Connection: close"
CHUNKED = build_head("Transfer-Encoding: chunked", CLOSE)
SENT = {
    "plain": build_request(CHAT, CLOSE),
    "odd": build_request(CHAT, "X_Odd: 1", CLOSE),
    "another route": build_head(CLOSE, line="GET /v1/models HTTP/1.1", content_type=None),
    "chunks": CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT),
    "no HTTP": b"nonsense\r\n\r\n",
    "broken head": build_request(CHAT, "X-Any: \x01", CLOSE),
    "broken chunks": CHUNKED + b"zz\r\n",
    "half a head": build_request()[:60],
    "refused expectation": build_request(CHAT, "Expect: nothing", CLOSE),
    "upgrade": build_request(CHAT, "Upgrade: h2c", "Connection: Upgrade, close"),
}
SLACK_S = 10


def list_connections() -> list[object]:
    """Return the connections of either kind that are in memory."""
    kinds = (ClientConnection, LeanConnection)
    return [each for each in gc.get_objects() if isinstance(each, kinds)]


async def read_end(client: RawClient) -> None:
    """Wait until the server closes."""
    await client.read_end()


async def leave(client: RawClient) -> None:
    """Reset the connection once what was sent is being looked at."""
    for _ in range(20):
        await asyncio.sleep(0)
    client.writer.transport.abort()


def _list_ends(sent: str) -> list[Callable[[RawClient], Awaitable[None]]]:
    """Return what may end a connection; behind half a head only its client, or a clock."""
    return [leave] if sent == "half a head" else [leave, read_end]


@pytest.mark.parametrize("connection", ["lean", "aiohttp"])
@pytest.mark.parametrize(
    ("sent", "end"), [(sent, end) for sent in SENT for end in _list_ends(sent)]
)
async def test_nothing_of_a_connection_waits_for_the_collector(
    sent: str, end: Callable[[RawClient], Awaitable[None]], connection: str
) -> None:
    """Whatever was asked on it and however it has ended: it is gone with its socket."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        serving(build_snapshot(build_provider(upstream.url)), connection=connection) as server,
        asyncio.timeout(SLACK_S),
    ):
        gc.collect()
        known = {id(each) for each in list_connections()}
        gc.disable()
        try:
            for _ in range(3):
                async with connecting(server.port, SENT[sent]) as client:
                    await end(client)
            while server.runner.connections:  # noqa: ASYNC110
                await asyncio.sleep(0)
            # The collector is off: what is in a ring would be there for ever.
            while [each for each in list_connections() if id(each) not in known]:  # noqa: ASYNC110
                await asyncio.sleep(0)
        finally:
            gc.enable()
