"""
A million requests are cancelled at random moments: `make campaign NAME=cancellations`.

Whatever a cancelled one leaves behind on a shared connection, an answer that is still to come
or a place in a line, must never become another's. CANCELLATIONS=20000 is for trying.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop
from msgspec import Struct, field

from campaigns.base import PASSED, Result, write_result
from campaigns.ground.cancelling import Tally, cancel_at_random
from campaigns.ground.kernel import raise_file_limit
from campaigns.ground.upstream import running_program
from campaigns.programs.echo_upstream import build_body
from proxy.domain.catalog import Provider
from proxy.domain.errors import ProxyError, UpstreamPoolFull
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_script import build_script
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.connection_cap import ConnectionCap
from proxy.upstream.resolver import Resolver
from tests.fakes.redis_server import RedisServer
from tests.leaks import leaving_nothing

TOTAL = int(os.environ.get("CANCELLATIONS", "1000000"))
ON_REDIS = TOTAL * 7 // 10
ON_UPSTREAM = TOTAL - ON_REDIS
REDIS_TASKS, UPSTREAM_TASKS = 1000, 400
CAP = 300
"""Fewer than the tasks: some wait for a connection, and are cancelled there."""
SEED = 20_261_127
ECHO = build_script("echo", "return ARGV[1]")
LOOKS_S = (0.5, 2.5)
"""How long Redis works between two times in which it is held."""
HELD_S = (0.01, 0.03, 0.06, 0.12, 0.4)
"""Shorter than the link's clock, longer, and longer than all its patience."""
REST_WITHIN_S = 5.0
CLOCKS = Clocks(connect_s=10.0, headers_s=10.0, answer_s=10.0)


class Part(Struct):
    """What one kind of shared connection has shown."""

    tally: Tally
    took_s: float
    left: list[str] = field(default_factory=list)
    """What was still held when all had ended."""
    notes: str = ""


class Collector:
    """A BodySink that keeps all, and tells when there will be no more."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.whole: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data(self, chunk: bytes) -> None:
        """Keep it."""
        self._parts.append(chunk)

    def end(self) -> None:
        """Tell what there is."""
        if not self.whole.done():
            self.whole.set_result(b"".join(self._parts))

    def fail(self, error: ProxyError) -> None:
        """Tell that it broke."""
        if not self.whole.done():
            self.whole.set_exception(error)


async def cancel_on_redis() -> Part:
    """Cancel jobs of one link, whose Redis is held now and then."""
    with RedisServer() as server:
        link = RedisLink(server.url)
        link.start()
        assert await link.wait_joined(5.0), "Redis is not joined"

        async def ask(tag: str) -> str | None:
            if not link.is_joined:
                await link.wait_joined(1.0)
            reply = await link.run(ECHO, [], [tag])
            return None if reply == tag.encode() else f"{reply!r} for {tag}"

        begun_s = time.monotonic()
        holder = asyncio.create_task(_hold_now_and_then(server))
        try:
            tally = await cancel_at_random(ask, ON_REDIS, REDIS_TASKS, (RedisUnavailable,), SEED)
        finally:
            holder.cancel()
            await asyncio.wait([holder])
        part = Part(tally, time.monotonic() - begun_s)
        if not await link.wait_joined(5.0):
            part.left.append("the link is not joined")
        if link._queue:
            part.left.append(f"{len(link._queue)} jobs in the queue")
        part.notes = (
            f"{link.ops:,} replies, {link.ops - tally.answered:,} of them for nobody any more, "
            f"{link.timeouts} round trips given up, {link.errors} errors, "
            f"while Redis was held {HELD_S[0]:g} to {HELD_S[-1]:g} s every "
            f"{sum(LOOKS_S) / 2:g} s or so"
        )
        await link.close()
    return part


async def _hold_now_and_then(server: RedisServer) -> None:
    """Let replies come late: those of jobs that nobody waits for any more among them."""
    chance = random.Random(SEED)
    while True:
        await asyncio.sleep(chance.uniform(*LOOKS_S))
        server.freeze()
        try:
            await asyncio.sleep(chance.choice(HELD_S))
        finally:
            server.thaw()


async def cancel_on_upstream(ports: Sequence[int]) -> Part:
    """Cancel requests of transports that share one cap, as those of a worker do."""
    cap, names = ConnectionCap(CAP), Resolver()
    transports = [
        AiohttpTransport(
            Provider(f"echo-{port}", "openai_compatible", _build_url(port)), names, cap
        )
        for port in ports
    ]

    async def ask(tag: str) -> str | None:
        turn = int(tag[-8:]) % len(ports)
        sink = Collector()
        opened = await transports[turn].open(build_request(ports[turn], tag), sink)
        try:
            opened.resume()
            body = await sink.whole
        finally:
            opened.close()
        is_own = opened.head.status == 200 and body == build_body(tag.encode())
        return None if is_own else f"{body[:100]!r} for {tag}"

    begun_s = time.monotonic()
    tally = await cancel_at_random(ask, ON_UPSTREAM, UPSTREAM_TASKS, (UpstreamPoolFull,), SEED)
    part = Part(tally, time.monotonic() - begun_s)
    if cap._free != CAP:
        part.left.append(f"{CAP - cap._free} slots of the cap")
    if unfinished := sum(len(transport._unfinished) for transport in transports):
        part.left.append(f"{unfinished} answers")
    part.notes = f"{len(ports)} providers, {CAP} connections at most for {UPSTREAM_TASKS} tasks"
    for transport in transports:
        await transport.close()
    return part


def build_request(port: int, tag: str) -> OutboundRequest:
    """Return a request that is to be answered with its tag."""
    return OutboundRequest(
        provider=f"echo-{port}",
        method="POST",
        url=f"{_build_url(port)}/chat/completions",
        headers={"Content-Type": "application/json"},
        body=f'{{"messages":[{{"role":"user","content":"{tag}"}}]}}'.encode(),
        streams=int(tag[-8:]) % 2 == 0,
        clocks=CLOCKS,
    )


def _build_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


async def run_part(run: Callable[[], Awaitable[Part]]) -> Part:
    """Run a part, and have it told what tasks and descriptors it has left behind."""
    part = Part(Tally(), 0.0)
    try:
        async with leaving_nothing(REST_WITHIN_S):
            part = await run()
    except AssertionError as left:
        part.left.append(str(left))
    return part


def main() -> int:
    raise_file_limit(4096)
    with running_program("echo_upstream") as program:
        ports = [int(word) for word in program.read_line().split()]
        on_redis = uvloop.run(run_part(cancel_on_redis))
        on_upstream = uvloop.run(run_part(lambda: cancel_on_upstream(ports)))
    return write_result(build_result(on_redis, on_upstream))


def build_result(on_redis: Part, on_upstream: Part) -> Result:
    """Return the page: a row for each check, a column for each kind of connection."""
    parts = ((on_redis, ON_REDIS), (on_upstream, ON_UPSTREAM))
    rows: dict[str, list[str]] = {
        "no answer is another's": [_say(part.tally.complaints) for part, _ in parts],
        "as many were cancelled as are wanted": [
            PASSED if part.tally.cancelled >= wanted else f"{part.tally.cancelled:,}"
            for part, wanted in parts
        ],
        "answers came in between": [
            PASSED if part.tally.answered * 10 >= wanted else f"only {part.tally.answered:,}"
            for part, wanted in parts
        ],
        "no slot, answer, job, task or descriptor is left behind": [
            _say(part.left) for part, _ in parts
        ],
    }
    total = sum(part.tally.cancelled for part, _ in parts)
    crossed = sum(len(part.tally.complaints) for part, _ in parts)
    notes = [
        f"{total:,} requests were cancelled after 0 to 23 turns of the event loop or 0 to 6 ms, "
        f"in {sum(part.took_s for part, _ in parts):.0f} s; {crossed} answers were crossed. "
        "Each asks for its own tag, and three in ten are let be: each of their answers must be "
        "that of its tag, whole.",
        f"Redis: one link, {REDIS_TASKS} tasks. {_describe(on_redis)}",
        f"Upstream: {_describe(on_upstream)}",
    ]
    columns = ["Redis", "upstream"]
    return Result("cancellations", "Requests that are cancelled", columns, rows, notes)


def _describe(part: Part) -> str:
    failed = ", ".join(f"{count:,} {name}" for name, count in sorted(part.tally.failed.items()))
    return (
        f"{part.tally.cancelled:,} cancelled and {part.tally.answered:,} answered in "
        f"{part.took_s:.0f} s; {part.notes}. Other ends: {failed or 'none'}."
    )


def _say(complaints: Sequence[Any]) -> str:
    return PASSED if not complaints else f"{len(complaints)}: {'; '.join(map(str, complaints[:3]))}"


if __name__ == "__main__":
    sys.exit(main())
