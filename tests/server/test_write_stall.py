"""The clock of a client that does not take what was written to it."""

import asyncio

import pytest

from proxy.server.write_stall import WriteStall

STALL_S = 0.02
SOON_S = 10.0
"""Nothing here takes as long on any machine: it guards against what hangs."""


class Wire(asyncio.Transport):
    """A transport whose client takes some bytes each time it is looked at."""

    def __init__(self, waiting: int, taken: int) -> None:
        super().__init__()
        self.waiting = waiting
        self.taken = taken
        self.looks = 0
        self.looked_often = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        waiting = self.waiting
        self.waiting = max(0, self.waiting - self.taken)
        self.looks += 1
        if self.looks >= 6:
            self.looked_often.set()
        return waiting


async def test_nothing_taken_is_a_stall() -> None:
    """After `stall_s` without a byte taken it is told, once and not sooner."""
    stalls: list[str] = []
    stalled = asyncio.Event()

    def on_stall() -> None:
        stalls.append("stall")
        stalled.set()

    wire = Wire(1000, taken=0)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    WriteStall(loop, wire, on_stall).watch(STALL_S)
    async with asyncio.timeout(SOON_S):
        await stalled.wait()
    assert loop.time() - started_s >= STALL_S
    assert stalls == ["stall"]


async def test_the_last_byte_taken_begins_the_clock_anew() -> None:
    """A client that took something is told of `stall_s` after that, not after the beginning."""
    stalled = asyncio.Event()
    wire = Wire(1000, taken=100)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    WriteStall(loop, wire, stalled.set).watch(STALL_S)
    loop.call_later(STALL_S / 2, setattr, wire, "taken", 0)
    async with asyncio.timeout(SOON_S):
        await stalled.wait()
    assert wire.waiting > 0
    assert loop.time() - started_s >= STALL_S * 5 / 4


async def test_little_taken_is_none() -> None:
    """It goes on looking as long as each look finds less."""
    stalls: list[str] = []
    wire = Wire(1000, taken=1)
    stall = WriteStall(asyncio.get_running_loop(), wire, lambda: stalls.append("stall"))
    stall.watch(STALL_S)
    await wire.looked_often.wait()
    stall.stop()
    assert stalls == []


async def test_a_client_that_has_everything_is_let_go() -> None:
    """With nothing left to take the watch ends by itself, and may begin anew."""
    stalls: list[str] = []
    loop = asyncio.get_running_loop()
    wire = Wire(2, taken=2)
    stall = WriteStall(loop, wire, lambda: stalls.append("stall"))
    stall.watch(STALL_S)
    over = asyncio.Event()
    loop.call_later(STALL_S * 5, over.set)
    await over.wait()
    assert (stalls, wire.looks) == ([], 2)
    stall.watch(STALL_S)
    stall.stop()
    assert wire.looks == 3


async def test_little_taken_for_ever_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes a little each time is ended too, once that has gone on for LONGEST_S."""
    monkeypatch.setattr("proxy.server.write_stall.LONGEST_S", STALL_S * 2)
    stalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    WriteStall(loop, Wire(1_000_000, taken=1), stalled.set).watch(STALL_S)
    async with asyncio.timeout(SOON_S):
        await stalled.wait()
    assert loop.time() - started_s >= STALL_S * 2
