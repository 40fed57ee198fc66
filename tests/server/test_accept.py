"""How connections of both kinds begin: counted, or reset; and what a late head is told."""

import asyncio
from typing import Any

from proxy.server.accept import HIGH_WATER_BYTES, accept, end_late_head
from proxy.server.connection_counts import ConnectionCounts
from tests.fakes.proxy_server import RecordingObserver, build_runtime, build_snapshot


class Wire(asyncio.Transport):
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.high_bytes: int | None = None
        self.is_aborted = False
        self.written = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_bytes = high

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True


def test_a_connection_is_counted_and_held_to_little() -> None:
    """It may keep little unsent, and its place is free again when it is released."""
    counts, wire = ConnectionCounts(), Wire()
    admission = accept(wire, build_runtime(), counts)
    assert admission is not None
    assert (counts.total, wire.high_bytes, wire.is_aborted) == (1, HIGH_WATER_BYTES, False)
    admission.release()
    assert counts.total == 0


def test_one_too_many_is_reset() -> None:
    """Above the cap of its address a connection ends, and that is told."""
    observer = RecordingObserver()
    runtime = build_runtime(build_snapshot(max_connections_per_address=1), observer=observer)
    counts, wire = ConnectionCounts(), Wire()
    assert accept(Wire(), runtime, counts) is not None
    assert accept(wire, runtime, counts) is None
    assert (counts.total, wire.is_aborted) == (1, True)
    assert observer.connection_faults == ["connection_rejected"]


def test_a_late_head_is_told_and_counted() -> None:
    """It gets 408 in JSON that says it is the last answer; nobody has asked, so no record."""
    observer, wire = RecordingObserver(), Wire()
    end_late_head(wire, build_runtime(observer=observer))
    assert wire.written.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nConnection: close\r\n" in wire.written
    assert (observer.connection_faults, observer.records) == (["head_timeout"], [])
