"""A link to Redis as tests open it, and a record of what it told and logged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs

from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_script import build_script
from tests.leaks import leaving_nothing

SOON_S = 20.0
"""Ten times what is promised for coming back."""
PATIENT_S = 5.0
"""For a round trip where its length is not what is tested, on a busy machine."""
ECHO = build_script("echo", "return {KEYS[1], ARGV[1]}")
WRITE = build_script("write", "return redis.call('SET', KEYS[1], ARGV[1])")


class Watched:
    """A link, the changes that it told, and its lines."""

    def __init__(self, link: RedisLink, lines: list[Any]) -> None:
        self.link = link
        self.lines = lines
        self.joined = asyncio.Event()
        self.left = asyncio.Event()
        self.changes: list[str] = []
        link.watch(self._join, self._leave)

    @property
    def told(self) -> list[tuple[str, str]]:
        """What an operator reads of it, from INFO on."""
        return [
            (line["log_level"], line["event"])
            for line in self.lines
            if line["log_level"] != "debug"
        ]

    async def wait_joined(self) -> None:
        """Return when jobs are sent."""
        async with asyncio.timeout(SOON_S):
            await self.joined.wait()

    async def wait_left(self) -> None:
        """Return when jobs are not sent any more."""
        async with asyncio.timeout(SOON_S):
            await self.left.wait()

    def _join(self) -> None:
        self.changes.append("joined")
        self.left.clear()
        self.joined.set()

    def _leave(self) -> None:
        self.changes.append("left")
        self.joined.clear()
        self.left.set()


@asynccontextmanager
async def linked(
    url: str, *, operation_s: float = PATIENT_S, is_there: bool = True
) -> AsyncIterator[Watched]:
    """
    Open a link, and wait for it to join where that can be; close it at the end.

    No task and no descriptor may be left then.
    """
    with capture_logs() as lines:
        async with leaving_nothing():
            watched = Watched(RedisLink(url, operation_s=operation_s), lines)
            watched.link.start()
            try:
                if is_there:
                    await watched.wait_joined()
                yield watched
            finally:
                await watched.link.close()
