"""Plans leave the HTTP face as they are written: framing, keep-alive, and what is counted."""

import asyncio

import pytest

from proxy.simulator.server import RunningSimulator
from tests.simulator.asking import (
    ask_raw,
    chat_body,
    parse_events,
    raw_request,
    text_of,
    turns_until,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_streams_are_chunked(simulator: RunningSimulator) -> None:
    """A good stream is chunked, one chunk per event, and the connection is kept."""
    body = chat_body("sim-echo", "one two", stream=True)
    reply = await ask_raw(simulator, body, until=b"\r\n0\r\n\r\n")
    assert "transfer-encoding: chunked" in reply.head
    assert "connection: close" not in reply.head
    assert text_of(parse_events(reply.text)) == "one two"
    assert reply.body.count(b"\n\n\r\n") == 5


async def test_whole_answers_have_a_length(simulator: RunningSimulator) -> None:
    """An answer that is no stream says how long it is."""
    reply = await ask_raw(simulator, chat_body("sim-echo"), until=b"}}")
    assert f"content-length: {len(reply.body)}" in reply.head


async def test_connections_are_reused(simulator: RunningSimulator) -> None:
    """Good answers and error statuses leave the connection open for the next request."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    for model, status in (("sim-echo", b"200"), ("sim-fault-u24-500", b"500"), ("no", b"404")):
        writer.write(raw_request(chat_body(model)))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


async def test_unusual_statuses_are_written(simulator: RunningSimulator) -> None:
    """A status that the standard does not name is sent all the same."""
    reply = await ask_raw(simulator, chat_body("sim-fault-u23-529"), until=b"}}")
    assert reply.wire.startswith(b"HTTP/1.1 529 ")


@pytest.mark.parametrize(
    ("fault", "outcome", "events"),
    [
        ("u3-reset-before-headers", "broken", 0),
        ("u7-reset-after-content", "broken", 3),
        ("u11-chunked-cut", "broken", 3),
        ("u10-eof-close", "broken", 3),
        ("u30-302", "completed", 0),
        ("u31-junk-status", "broken", 0),
    ],
)
async def test_faults_are_counted(
    simulator: RunningSimulator, fault: str, outcome: str, events: int
) -> None:
    """The ledger tells a broken connection from a whole answer, and what was sent."""
    await ask_raw(simulator, chat_body(f"sim-fault-{fault}", stream=True))
    assert await simulator.ledger.wait_ended(1, 5)
    (entry,) = simulator.ledger.entries()
    assert (entry.outcome, entry.events_sent, entry.fault) == (outcome, events, fault)


async def test_slow_readers_get_everything(simulator: RunningSimulator) -> None:
    """A client that reads late gets the same bytes: the simulator waits for it."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(raw_request(chat_body("sim-fault-u15-huge-line@20mb", stream=True)))
    await turns_until(lambda: any(entry.bytes_sent for entry in simulator.ledger.entries()))
    wire = await reader.readuntil(b"\r\n\r\n")
    size = 0
    while True:
        line = await reader.readuntil(b"\r\n")
        if line == b"0\r\n":
            break
        size += len(await reader.readexactly(int(line, 16)))
        await reader.readexactly(2)
    writer.close()
    assert b"chunked" in wire
    assert size > 20_000_000
