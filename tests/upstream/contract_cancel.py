"""The contract of cancellation: whenever it comes, no answer is mixed and nothing is kept."""

import asyncio
import random

from proxy.domain.settings import PoolLimits
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.leaks import leaving_nothing
from tests.upstream.asking import Transports, build_request, fetch

REQUESTS = 5000
AT_ONCE = 25
MOST_TURNS = 12, 80
"""Few turns of the loop, so that many come early; many, so that some come too late."""


class CancelContract:
    """What a cancelled `open` leaves behind: nothing."""

    async def test_cancelling_at_any_moment_mixes_no_answers(self, transports: Transports) -> None:
        """
        Of 5,000 requests cancelled at random moments none gets another's answer, and no
        connection, slot or descriptor is left (P25).
        """
        chance = random.Random(25)
        answered = cancelled = 0

        async def script(connection: UpstreamConnection) -> None:
            while True:
                _, _, tag = await connection.read_request()
                await connection.answer(tag)

        async def ask(tag: bytes) -> None:
            nonlocal answered, cancelled
            sink = RecordingSink()
            task = asyncio.ensure_future(transport.open(build_request(upstream, tag), sink))
            for _ in range(chance.randrange(chance.choice(MOST_TURNS))):
                await asyncio.sleep(0)
            task.cancel()
            try:
                opened = await task
            except asyncio.CancelledError:
                cancelled += 1
                return
            if chance.random() < 0.2:
                opened.close()
                return
            opened.resume()
            await sink.over.wait()
            assert (sink.body, sink.endings) == (tag, [None])
            answered += 1

        async with open_raw_upstream(script) as upstream, leaving_nothing():
            transport = transports.open(pool=PoolLimits(max_connections=AT_ONCE))
            for start in range(0, REQUESTS, AT_ONCE):
                await asyncio.gather(*(ask(b"%d" % (start + n)) for n in range(AT_ONCE)))
            assert answered > REQUESTS / 50
            assert cancelled > REQUESTS / 50
            # Every slot is free: as many as there are can be taken at the same time.
            last = [fetch(transport, build_request(upstream, b"%d" % n)) for n in range(AT_ONCE)]
            async with asyncio.timeout(5.0):
                sinks = await asyncio.gather(*last)
            assert [sink.body for sink in sinks] == [b"%d" % n for n in range(AT_ONCE)]
            await transport.close()
