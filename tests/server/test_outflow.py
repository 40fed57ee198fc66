"""What goes out without aiohttp: pauses, waiting, and the end of a client that takes nothing."""

import asyncio

from proxy.server.outflow import Outflow
from tests.fakes.proxy_server import build_runtime


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0


def build() -> tuple[Outflow, Wire]:
    """Return one over a wire."""
    outflow = Outflow(build_runtime(), asyncio.get_running_loop())
    outflow.transport = wire = Wire()
    return outflow, wire


async def test_pauses_are_told_in_pairs() -> None:
    """Whoever writes is told when the client is slow, and when it has caught up."""
    outflow, _ = build()
    calls: list[str] = []
    outflow.on_pause, outflow.on_resume = lambda: calls.append("pause"), lambda: calls.append("go")
    outflow.pause_writing()
    assert outflow.writing_paused
    outflow.resume_writing()
    assert calls == ["pause", "go"]
    assert not outflow.writing_paused


async def test_waiting_ends_when_the_client_has_caught_up() -> None:
    """And does not begin where nothing is paused."""
    outflow, _ = build()
    await outflow.drain()
    outflow.pause_writing()
    draining = asyncio.ensure_future(outflow.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    outflow.resume_writing()
    await draining


async def test_nothing_is_written_behind_a_close() -> None:
    """A client that has left gets nothing, and nobody is told."""
    outflow, wire = build()
    outflow.write(b"before")
    wire.is_closed = True
    outflow.write(b"behind")
    assert wire.written == b"before"
