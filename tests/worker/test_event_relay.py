"""Events on their way to other workers: together, and never too many."""

import asyncio

from proxy.control.messages import Happened
from proxy.domain.event import Event
from proxy.worker.event_relay import MAX_AT_ONCE, EventRelay


async def test_what_happens_in_one_moment_goes_out_together() -> None:
    """A storm is one message with the first events of it; what comes later is another."""
    sent: asyncio.Queue[Happened] = asyncio.Queue()
    relay = EventRelay(sent.put_nowait)
    events = [Event("breaker", float(n), b"{}") for n in range(MAX_AT_ONCE + 10)]
    for event in events:
        relay.take(event)
    async with asyncio.timeout(10):
        assert (await sent.get()).events == tuple(events[:MAX_AT_ONCE])
        relay.take(events[-1])
        assert (await sent.get()).events == (events[-1],)
    assert sent.empty()
