"""A steady load: streams that are open all the time, and short requests at an even pace."""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

from msgspec import Struct

from campaigns.ground.client import Answer, Broken, Client

RAMP_S = 4.0
ASKERS = 10
"""Clients that share the short requests; half of them keep their connection."""


class Fault(Struct, frozen=True):
    """A request that did not get what it should; `port` is the client's end of its connection."""

    at_monotonic_s: float
    what: str
    port: int


class Kind(Struct, frozen=True):
    """
    One kind of request.

    `begin` is called as one is sent and returns what judges its answer: None, or what is
    wrong with it.
    """

    request: bytes
    begin: Callable[[], Callable[[Answer], str | None]]


class Load:
    """Many clients at once, from `async with` to its end; the last answers are waited for."""

    def __init__(self, port: int, slow: Kind, streams: int, short: Kind, per_s: float) -> None:
        self._port = port
        self._slow, self._streams = slow, streams
        self._short, self._per_s = short, per_s
        self._is_over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.faults: list[Fault] = []
        self.good_streams = 0
        self.good_requests = 0
        self.slowest_s = 0.0
        """Of the short requests."""

    async def __aenter__(self) -> Self:
        for number in range(self._streams):
            self._start(self._hold(number))
        for number in range(ASKERS):
            self._start(self._keep_asking(number))
        await asyncio.sleep(2 * RAMP_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if kind is not None:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=kind is not None)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _hold(self, number: int) -> None:
        """Have one stream after the other, on a new connection every second time."""
        client = Client(self._port)
        await asyncio.sleep(RAMP_S * number / self._streams)
        while not self._is_over.is_set():
            if await self._ask(client, self._slow):
                self.good_streams += 1
            if number % 2:
                client.close()
        client.close()

    async def _keep_asking(self, number: int) -> None:
        client = Client(self._port)
        begun_s = time.monotonic() + number / self._per_s
        for turn in itertools.count():
            due_s = begun_s + turn * ASKERS / self._per_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if self._is_over.is_set():
                break
            asked_s = time.monotonic()
            if await self._ask(client, self._short):
                self.good_requests += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - asked_s)
            if number % 2:
                client.close()
        client.close()

    async def _ask(self, client: Client, kind: Kind) -> bool:
        judge = kind.begin()
        try:
            answer = await client.ask(kind.request)
        except Broken as broken:
            self.faults.append(Fault(time.monotonic(), broken.what, broken.port))
            # Else a service that is down would be asked as fast as it refuses.
            await asyncio.sleep(0.1)
            return False
        complaint = judge(answer)
        if complaint is not None:
            self.faults.append(Fault(time.monotonic(), complaint, answer.port))
        return complaint is None
