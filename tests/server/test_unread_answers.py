"""Answers that nobody reads do not pile up, over either kind of connection."""

import asyncio

import pytest

from tests.fakes.proxy_server import ANSWER, proxying
from tests.fakes.raw_client import build_request, connecting
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_connections]

MOST_BYTES = 256 * 1024
LARGE = {
    **ANSWER,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "h" * 60_000},
            "finish_reason": "stop",
        }
    ],
}


async def test_who_asks_on_and_reads_nothing_costs_no_more_than_who_stalls() -> None:
    """A client that asks one at a time and reads no answer has less than 256 KiB waiting here."""
    async with (
        open_raw_upstream(answering(LARGE)) as upstream,
        proxying(upstream.url) as server,
        connecting(server.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        answered, quiet_turns = 0, 0
        while quiet_turns < 300:
            if len(server.observer.records) > answered or quiet_turns == 0 == answered:
                answered = len(server.observer.records)
                quiet_turns = 0
                client.writer.write(build_request())
            quiet_turns += 1
            await asyncio.sleep(0)
            assert answered < 1000
        (connection,) = server.runner.connections
        transport = connection.transport
        assert transport is not None
        assert transport.get_write_buffer_size() < MOST_BYTES
        client.writer.transport.abort()
